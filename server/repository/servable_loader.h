// Loads a checkpoint directory into everything that serving it needs.
#pragma once

#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "server/repository/memory_budget.h"
#include "server/repository/model_repository.h"
#include "server/repository/servable.h"

namespace reprise::server::repository {

// Reads the model and its tokenizer.json (text is accepted only where there is one), makes the
// executors and warms them up. Errors are those of the step that failed, with its name in front;
// Cancelled soon after `stop` was requested: between two tensors, executors or warm-up batches.
absl::StatusOr<ServableParts> LoadUnchecked(const std::string& model_name,
                                            const VersionDirectory& directory,
                                            const ModelServingOptions& options,
                                            const std::stop_token& stop = {});

// The same within `budget` and behind the golden gate (golden_gate.h): what is served.
absl::StatusOr<ServableParts> LoadServable(const std::string& model_name,
                                           const VersionDirectory& directory,
                                           const ModelServingOptions& options,
                                           const std::stop_token& stop, MemoryBudget& budget);

}  // namespace reprise::server::repository
