// A picture of a trained model against the same one with random weights.
#pragma once

#include <string>

#include "engine/analysis/similarity_table.h"

namespace reprise::engine::analysis {

// How alike the heads of neighbouring layers are with both weights: each layer's best match in the
// layer before, and the average of its heads' best matches. Requires: two layers or more, tables of
// one shape.
std::string BaselinePicture(const SimilarityTable& trained, const SimilarityTable& random);

}  // namespace reprise::engine::analysis
