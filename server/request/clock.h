// Time as the server sees it, passed in so that tests decide what time it is.
#pragma once

#include <condition_variable>

#include "server/request/inference_request.h"
#include "server/request/mutex.h"

namespace reprise::server {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyClock::time_point Now() const = 0;
  // Waits until `condition` is notified or `time` has come, whichever is first; may also return
  // early for no reason, so callers look again. `time` may be SteadyClock::time_point::max().
  virtual void WaitUntil(std::condition_variable& condition, MutexLock& lock,
                         SteadyClock::time_point time) = 0;

  static Clock& Real();  // the machine's monotonic clock; lives as long as the process
};

}  // namespace reprise::server
