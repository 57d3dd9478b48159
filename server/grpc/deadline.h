// Arithmetic of deadlines that come from callers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "server/request/inference_request.h"

namespace reprise::server::grpc {

// `start` + `microseconds`, or "never" where that is out of reach. Requires: microseconds >= 0.
inline SteadyClock::time_point DeadlineAfter(SteadyClock::time_point start,
                                             std::int64_t microseconds) {
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::time_point::max() - start);
  return microseconds >= left.count() ? SteadyClock::time_point::max()
                                      : start + std::chrono::microseconds(microseconds);
}

// gRPC reports a call that ran out of time and one that its caller gave up by the same signal. A
// caller whose own clock ran out resets the call a little before the server's deadline: the
// time-out it sent was rounded up (by at most 1 %), and took a while to arrive.
inline bool EndedByDeadline(SteadyClock::time_point arrival, SteadyClock::time_point deadline,
                            SteadyClock::time_point now) {
  constexpr std::chrono::milliseconds kTravel{10};
  if (deadline == SteadyClock::time_point::max()) return false;
  const auto allowed = deadline - arrival;
  return deadline - now <= std::min<SteadyClock::duration>(kTravel + allowed / 100, allowed / 2);
}

}  // namespace reprise::server::grpc
