// A clock that stands still until a test moves it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>

#include "server/request/clock.h"

namespace reprise::server::testing {

// Waiting threads look at the time every millisecond, so that Advance needs to know none of them.
class FakeClock final : public Clock {
 public:
  SteadyClock::time_point Now() const override { return SteadyClock::time_point(elapsed_.load()); }
  void WaitUntil(std::condition_variable& condition, MutexLock& lock,
                 SteadyClock::time_point time) override {
    if (Now() < time) condition.wait_for(lock.native(), std::chrono::milliseconds(1));
  }
  void Advance(std::chrono::nanoseconds by) { elapsed_.store(elapsed_.load() + by); }

 private:
  std::atomic<std::chrono::nanoseconds> elapsed_{std::chrono::hours(1)};
};

}  // namespace reprise::server::testing
