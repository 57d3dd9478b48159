// Arithmetic of deadlines that come from callers.
#pragma once

#include <chrono>
#include <cstdint>

#include "server/request/inference_request.h"

namespace reprise::server::wire {

// `start` + `microseconds`, or "never" where that is out of reach. Requires: microseconds >= 0.
inline SteadyClock::time_point DeadlineAfter(SteadyClock::time_point start,
                                             std::int64_t microseconds) {
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::time_point::max() - start);
  return microseconds >= left.count() ? SteadyClock::time_point::max()
                                      : start + std::chrono::microseconds(microseconds);
}

}  // namespace reprise::server::wire
