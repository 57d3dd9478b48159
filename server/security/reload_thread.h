// A thread that does something again and again until it is destroyed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <thread>

#include "server/request/mutex.h"

namespace reprise::server::security {

// Calls `work` every `interval`, the first time after one. The destructor waits for a call under
// way and for nothing else.
class ReloadThread {
 public:
  ReloadThread(std::chrono::milliseconds interval, std::function<void()> work);
  ~ReloadThread();
  ReloadThread(const ReloadThread&) = delete;
  ReloadThread& operator=(const ReloadThread&) = delete;

 private:
  void Run();

  const std::chrono::milliseconds interval_;
  const std::function<void()> work_;
  Mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the members above
};

}  // namespace reprise::server::security
