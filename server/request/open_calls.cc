#include "server/request/open_calls.h"

#include <utility>

namespace reprise::server {

bool OpenCalls::Add(std::shared_ptr<OpenCall> call) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  const OpenCall* key = call.get();
  calls_.emplace(key, std::move(call));
  return true;
}

void OpenCalls::Remove(const OpenCall* call) {
  // Destroyed after the lock is released: a call's destructor may do anything.
  std::shared_ptr<OpenCall> removed;
  MutexLock lock(mutex_);
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  removed = std::move(found->second);
  calls_.erase(found);
  if (calls_.empty()) emptied_.notify_all();
}

void OpenCalls::Close() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  for (const auto& call : Calls()) call->Drain();
}

bool OpenCalls::closed() {
  MutexLock lock(mutex_);
  return closed_;
}

bool OpenCalls::WaitUntilEmpty(SteadyClock::time_point deadline) {
  MutexLock lock(mutex_);
  while (!calls_.empty()) {
    if (SteadyClock::now() >= deadline) return false;
    emptied_.wait_until(lock.native(), deadline);
  }
  return true;
}

void OpenCalls::EndAll(const absl::Status& status) {
  for (const auto& call : Calls()) call->End(status);
}

// Shared, so that none is destroyed under the lock or before its caller is through with it.
std::vector<std::shared_ptr<OpenCall>> OpenCalls::Calls() {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<OpenCall>> calls;
  calls.reserve(calls_.size());
  for (const auto& [key, call] : calls_) calls.push_back(call);
  return calls;
}

}  // namespace reprise::server
