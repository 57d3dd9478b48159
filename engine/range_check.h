// Says whether an option lies in its range.
#pragma once

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace reprise::engine {

inline constexpr std::int64_t kNoUpperLimit = std::numeric_limits<std::int64_t>::max();

// InvalidArgument "NAME is VALUE; expected LOW to HIGH" unless low <= value <= high; "at least LOW"
// where high is kNoUpperLimit.
inline absl::Status CheckRange(const char* name, std::int64_t value, std::int64_t low,
                               std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  if (high == kNoUpperLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", value, "; expected at least ", low));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, "; expected ", low, " to ", high));
}

}  // namespace reprise::engine
