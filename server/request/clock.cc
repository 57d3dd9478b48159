#include "server/request/clock.h"

namespace reprise::server {
namespace {

class RealClock final : public Clock {
 public:
  SteadyClock::time_point Now() const override { return SteadyClock::now(); }
  void WaitUntil(std::condition_variable& condition, MutexLock& lock,
                 SteadyClock::time_point time) override {
    if (time == SteadyClock::time_point::max()) {
      condition.wait(lock.native());
    } else {
      condition.wait_until(lock.native(), time);
    }
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock clock;
  return clock;
}

}  // namespace reprise::server
