#include "server/commands/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "engine/check.h"

namespace reprise::server::commands {
namespace {
constexpr int kEndWatching = SIGUSR1;  // wakes the watcher, sent by the destructor only
}

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  REPRISE_CHECK(pthread_sigmask(SIG_BLOCK, &signals_, nullptr) == 0);
}

StopSignals::~StopSignals() {
  if (!watcher_.joinable()) return;
  pthread_kill(watcher_.native_handle(), kEndWatching);
  watcher_.join();
}

int StopSignals::Wait(SteadyClock::time_point deadline) {
  while (true) {
    // At most an hour at a time, so that no deadline is too far for a timespec.
    const auto left =
        std::clamp<std::chrono::nanoseconds>(deadline - std::min(deadline, SteadyClock::now()),
                                             std::chrono::nanoseconds(0), std::chrono::hours(1));
    const timespec timeout{static_cast<std::time_t>(left.count() / 1'000'000'000),
                           static_cast<decltype(timespec::tv_nsec)>(left.count() % 1'000'000'000)};
    const int signal = sigtimedwait(&signals_, nullptr, &timeout);
    if (signal > 0) return signal;
    if (errno == EAGAIN && SteadyClock::now() >= deadline) return 0;
  }
}

void StopSignals::NextOneEndsTheProcess() {
  REPRISE_CHECK(!watcher_.joinable());
  sigset_t watched = signals_;
  sigaddset(&watched, kEndWatching);
  // Blocked before the thread starts, which inherits it: the signal must never meet its default
  // action, which ends the process.
  REPRISE_CHECK(pthread_sigmask(SIG_BLOCK, &watched, nullptr) == 0);
  watcher_ = std::thread([watched] {
    int signal = 0;
    while (sigwait(&watched, &signal) != 0) {
    }
    if (signal != kEndWatching) _exit(128 + signal);
  });
}

}  // namespace reprise::server::commands
