// Draws a reuse plan as text: a row per layer, a column per head.
#pragma once

#include <string>

#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::analysis {

// Several lines, each ended by a line feed, in ASCII: a summary, the grid and its legend. Counts
// from 1, as the paper does. Beside each layer stand the slots of the score cache that its scores
// are kept in and the number of its reuse group.
std::string DrawPlanGrid(const reuse::ReusePlan& plan);

}  // namespace reprise::engine::analysis
