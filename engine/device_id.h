// Names of devices: "cpu", "cuda:0".
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace reprise::engine {

struct DeviceId {
  enum class Kind { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int ordinal = 0;  // of GPUs; 0 for the CPU
  friend bool operator==(const DeviceId&, const DeviceId&) = default;
};

// "cpu", "cuda" (the first GPU) or "cuda:N" with N from 0 to 1023. InvalidArgument for anything
// else.
absl::StatusOr<DeviceId> ParseDeviceId(std::string_view text);
std::string ToString(DeviceId device);

}  // namespace reprise::engine
