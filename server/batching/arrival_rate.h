// How many tokens per second ask to be served, whether they are admitted or not.
#pragma once

#include <cstdint>

#include "server/request/inference_request.h"

namespace reprise::server::batching {

// A mean in which what came a second ago weighs 1/e of what comes now. Not thread-safe.
class ArrivalRate {
 public:
  void Record(std::int64_t tokens, SteadyClock::time_point now);
  double TokensPerSecond(SteadyClock::time_point now) const;

 private:
  double tokens_per_second_ = 0;  // at last_
  SteadyClock::time_point last_{};
};

}  // namespace reprise::server::batching
