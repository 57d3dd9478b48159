// When a refused request is worth sending again, carried along with the status that refuses it.
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/status.h"

namespace reprise::server {

// When a request for which there was no memory is worth sending again: others have ended by then.
inline constexpr std::chrono::seconds kUntilMemoryIsFree{1};

// `status` with a prediction of how long it will take until there is room: between 1 ms and 60 s.
absl::Status WithRetryHint(absl::Status status, std::chrono::nanoseconds wait);
// What WithRetryHint put in; nothing where nobody did.
std::optional<std::chrono::milliseconds> RetryHint(const absl::Status& status);

}  // namespace reprise::server
