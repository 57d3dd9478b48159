// How far one request has come: told by the rooms it passes, read by whoever ends it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/request/mutex.h"

namespace reprise::server {

// The moments of a request. One that it did not come to is the epoch of the clock, Reached false.
struct RequestSteps {
  using TimePoint = std::chrono::steady_clock::time_point;

  std::string version{};   // of the model; empty until one was found
  TimePoint queued{};      // admitted
  TimePoint tokenized{};   // texts only: its tokens are known
  TimePoint batched{};     // taken out of the queue, with the rest of its batch
  TimePoint computing{};   // its batch is formed and runs
  TimePoint computed{};    // its batch has run
  std::int64_t batch = 0;  // number of its batch among those of the version, from 1

  static bool Reached(TimePoint step) { return step != TimePoint(); }
};

// Shared by the protocol, which may end a request at any moment, and the core, which moves it on.
// Thread-safe.
class RequestProgress {
 public:
  void Found(std::string_view version) {
    MutexLock lock(mutex_);
    steps_.version = std::string(version);
  }
  void Reach(RequestSteps::TimePoint RequestSteps::*step, RequestSteps::TimePoint when) {
    MutexLock lock(mutex_);
    steps_.*step = when;
  }
  void Join(std::int64_t batch, RequestSteps::TimePoint when) {
    MutexLock lock(mutex_);
    steps_.batch = batch;
    steps_.batched = when;
  }
  RequestSteps Read() const {
    MutexLock lock(mutex_);
    return steps_;
  }

 private:
  mutable Mutex mutex_;
  RequestSteps steps_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server
