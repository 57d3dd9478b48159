// Calibration files: head times measured once, to be used by many loads, so that all replicas of a
// fleet choose alike.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/layers/head_calibration.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::layers {

// Errors: Unavailable when the file cannot be written.
absl::Status WriteCalibration(const std::vector<HeadCalibration>& calibrations,
                              const std::string& path);

// The contents of such a file, and what they say. `path` names the file in messages; errors as of
// ReadCalibration, without NotFound.
nlohmann::json ToJson(const std::vector<HeadCalibration>& calibrations);
absl::StatusOr<std::vector<HeadCalibration>> ParseCalibration(const nlohmann::json& document,
                                                              const std::string& path);

// NotFound, or InvalidArgument with what was found and expected; FailedPrecondition for a file that
// was measured with another instruction set than the active one.
absl::StatusOr<std::vector<HeadCalibration>> ReadCalibration(const std::string& path);

}  // namespace reprise::engine::layers
