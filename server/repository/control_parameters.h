// What the parameters of a load or unload call ask for.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/request/serving_core.h"

namespace reprise::server::repository {

// The text to use in place of model.json, if any. Unimplemented for files sent along;
// InvalidArgument names any other parameter that is unknown or of the wrong type.
absl::StatusOr<std::optional<std::string>> ReadLoadParameters(const ControlParameters& parameters);

// Nothing can be asked for; InvalidArgument as above.
absl::Status CheckUnloadParameters(const ControlParameters& parameters);

}  // namespace reprise::server::repository
