#include "server/request/open_calls.h"

#include <utility>
#include <vector>

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
  MutexLock lock(mutex_);
  closed_ = true;
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
  std::vector<std::shared_ptr<OpenCall>> calls;
  {
    MutexLock lock(mutex_);
    for (const auto& [key, call] : calls_) calls.push_back(call);
  }
  for (const auto& call : calls) call->End(status);
}

}  // namespace reprise::server
