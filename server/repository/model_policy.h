// model.json: the serving policy that a model brings along.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "server/repository/serving_options.h"

namespace reprise::server::repository {

// The options of model.json's text over `defaults`. Strict: InvalidArgument names an unknown key
// and the known ones, a value of the wrong type, or one out of range.
absl::StatusOr<ModelServingOptions> ParseModelPolicy(std::string_view json,
                                                     const ModelServingOptions& defaults);

}  // namespace reprise::server::repository
