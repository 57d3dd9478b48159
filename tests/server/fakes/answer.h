// Takes the answer to one request and counts how often it came.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <optional>
#include <utility>

#include "server/request/inference_request.h"
#include "server/request/mutex.h"

namespace reprise::server::testing {

// Copies share one answer. Thread-safe.
class PendingAnswer {
 public:
  InferenceCallback callback() const {
    return [state = state_](absl::StatusOr<InferenceReply> reply, RefusalReason refusal) {
      MutexLock lock(state->mutex);
      state->reply = std::move(reply);
      state->refusal = refusal;
      ++state->times;
      state->arrived.notify_all();
    };
  }

  // Waits for the answer, at most ten seconds: then it is DeadlineExceeded "no answer came".
  absl::StatusOr<InferenceReply> Await() const {
    MutexLock lock(state_->mutex);
    const auto deadline = SteadyClock::now() + std::chrono::seconds(10);
    while (state_->times == 0) {
      if (state_->arrived.wait_until(lock.native(), deadline) == std::cv_status::timeout) {
        return absl::DeadlineExceededError("no answer came");
      }
    }
    return *state_->reply;
  }
  RefusalReason refusal() const {
    MutexLock lock(state_->mutex);
    return state_->refusal;
  }
  int times() const {
    MutexLock lock(state_->mutex);
    return state_->times;
  }

 private:
  struct State {
    Mutex mutex;
    std::condition_variable arrived;
    std::optional<absl::StatusOr<InferenceReply>> reply;
    RefusalReason refusal = RefusalReason::kNone;
    int times = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace reprise::server::testing
