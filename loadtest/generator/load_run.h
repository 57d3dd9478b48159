// Sends calls to a server, in an open or a closed loop, and notes how each one ended.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "loadtest/generator/load_options.h"
#include "loadtest/generator/load_report.h"

namespace reprise::loadtest {

// Returns when every call has ended. Unavailable if the server cannot be reached within 10 s.
// `progress`, called from this thread about ten times a second, gets the part that is over, 0 to 1.
absl::StatusOr<LoadReport> RunLoad(const LoadOptions& options,
                                   const std::function<void(double part)>& progress);

}  // namespace reprise::loadtest
