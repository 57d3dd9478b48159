// How a call that gRPC reports as cancelled really ended.
#pragma once

#include <algorithm>
#include <chrono>

#include "server/request/inference_request.h"

namespace reprise::server::grpc {

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
