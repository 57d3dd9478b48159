// The way back into a connection's strand for those who finish its work in other threads.
#pragma once

#include <functional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/request/mutex.h"

namespace reprise::server::http {

// Thread-safe.
class StrandPost {
 public:
  using Task = absl::AnyInvocable<void()>;
  // Runs a task in the strand, soon. Thread-safe.
  using Post = std::function<void(Task)>;

  explicit StrandPost(Post post) : post_(std::move(post)) {}

  // Drops the task once detached.
  void operator()(Task task) {
    MutexLock lock(mutex_);
    if (post_) post_(std::move(task));
  }
  // From the return on nothing is posted: the connection goes.
  void Detach() {
    MutexLock lock(mutex_);
    post_ = nullptr;
  }

 private:
  Mutex mutex_;
  Post post_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server::http
