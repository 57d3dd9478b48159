// A picture of which heads would take whose scores.
#pragma once

#include <string>

#include "engine/analysis/similarity_table.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::analysis {

// A row for each layer, a column for each head. A cell that reuses names its source and has the
// colour of their similarity; one that is read says by how many.
std::string ReuseGridPicture(const reuse::ReusePlan& plan, const SimilarityTable& table);

}  // namespace reprise::engine::analysis
