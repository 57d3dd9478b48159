// Word that a caller has gone.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "server/request/mutex.h"

namespace reprise::server {

// Set by the protocol; asked, or listened to, by the room that owns the request. Thread-safe.
class Cancellation {
 public:
  void Cancel() {
    MutexLock lock(mutex_);
    cancelled_.store(true, std::memory_order_release);
    if (listener_) std::exchange(listener_, nullptr)();
  }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // Calls `listener` once on the thread that cancels, or at once if that has happened already.
  // Takes the place of an earlier listener. It must not come back to this object, and the caller
  // holds no lock that it takes.
  void Listen(std::function<void()> listener) {
    MutexLock lock(mutex_);
    if (cancelled()) return listener();
    listener_ = std::move(listener);
  }
  // From the return on no listener runs. The caller holds no lock that the listener takes.
  void StopListening() {
    MutexLock lock(mutex_);
    listener_ = nullptr;
  }

 private:
  Mutex mutex_;  // held while the listener runs, so that StopListening waits for it
  std::atomic<bool> cancelled_{false};
  std::function<void()> listener_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server
