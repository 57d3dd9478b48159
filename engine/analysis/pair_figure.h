// Pictures of two heads' attention on one text.
#pragma once

#include <string>

#include "engine/analysis/attention_maps.h"

namespace reprise::engine::analysis {

// Both matrices and their difference side by side. `number` tells several on one page apart.
std::string PairPicture(const AttentionMaps& maps, int number);

// What the colours mean.
std::string AttentionScale();

}  // namespace reprise::engine::analysis
