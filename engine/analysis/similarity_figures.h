// Pictures of a similarity table: the ones of the paper (arXiv 2110.06821), and the whole table.
#pragma once

#include <string>
#include <string_view>

#include "engine/analysis/similarity_table.h"

namespace reprise::engine::analysis {

// Figures 2 and 6: the most alike pair of heads of every two layers, at most `width` pixels wide.
// A cell has its number where there is room, and always a tip that names the heads.
std::string BestPairsPicture(std::string_view id, const SimilarityTable& table, double width);

// Figure 3: a line for each rank of the heads of a layer by their best match in the layer before.
// Requires: two layers or more.
std::string RankedMatchesPicture(const SimilarityTable& table);

// Every pair of heads, a pixel each, as a bitmap in a frame that names the layers.
std::string TablePicture(const SimilarityTable& table);

// What the colours of the pictures above mean.
std::string SimilarityScale();

// "0.80", or "0.80 +- 0.01" with the interval of 95 % where there are two texts or more.
std::string MeanText(const SimilarityTable& table, int head, int other);

}  // namespace reprise::engine::analysis
