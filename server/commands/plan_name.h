// Reuse plans by the short names that people type.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::server::commands {

// "exact"; "KxP": K heads reused in P layers (Algorithm 1 of arXiv 2110.06821), for example "12x6";
// "alternate-P", "all_end-P", "skip-P": its Table 7. InvalidArgument for any other name, or for
// numbers that the model's layers and heads do not allow.
absl::StatusOr<engine::reuse::ReusePlan> PlanByName(const std::string& name, int num_layers,
                                                    int num_heads);

}  // namespace reprise::server::commands
