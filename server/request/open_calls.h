// The calls that have not ended, so that a stopping server can wait for them or end them.
#pragma once

#include <condition_variable>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "server/request/inference_request.h"
#include "server/request/mutex.h"

namespace reprise::server {

// A call that can be ended from outside. Thread-safe.
class OpenCall {
 public:
  virtual ~OpenCall() = default;
  // Ends the call with `status` unless it has ended by itself; returns at once.
  virtual void End(const absl::Status& status) = 0;
  // Asks a call of many parts to take no new ones and to end after those under way.
  virtual void Drain() {}
};

// Thread-safe.
class OpenCalls {
 public:
  // False once closed: the caller ends the call itself. Keeps the call alive until Remove.
  bool Add(std::shared_ptr<OpenCall> call);
  // No effect for a call that was never added.
  void Remove(const OpenCall* call);
  void Close();  // also drains the calls that are open
  bool closed();
  // True when no call is open, false when `deadline` came first.
  bool WaitUntilEmpty(SteadyClock::time_point deadline);
  void EndAll(const absl::Status& status);

 private:
  std::vector<std::shared_ptr<OpenCall>> Calls();

  Mutex mutex_;
  std::condition_variable emptied_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_map<const OpenCall*, std::shared_ptr<OpenCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server
