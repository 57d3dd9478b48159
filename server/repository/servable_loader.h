// Loads a checkpoint directory into everything that serving it needs.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/repository/model_repository.h"
#include "server/repository/servable.h"

namespace reprise::server::repository {

// Reads the model and its tokenizer.json (text is accepted only where there is one), makes the
// executors and warms them up. Errors are those of the step that failed, with its name in front.
absl::StatusOr<ServableParts> LoadServable(const std::string& model_name,
                                           const VersionDirectory& directory,
                                           const ModelServingOptions& options);

}  // namespace reprise::server::repository
