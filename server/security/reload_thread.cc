#include "server/security/reload_thread.h"

#include <utility>

namespace reprise::server::security {

ReloadThread::ReloadThread(std::chrono::milliseconds interval, std::function<void()> work)
    : interval_(interval), work_(std::move(work)), thread_([this] { Run(); }) {}

ReloadThread::~ReloadThread() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    stopped_.notify_all();
  }
  thread_.join();
}

void ReloadThread::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      const auto next = std::chrono::steady_clock::now() + interval_;
      while (!stopping_ && stopped_.wait_until(lock.native(), next) != std::cv_status::timeout) {
      }
      if (stopping_) return;
    }
    work_();
  }
}

}  // namespace reprise::server::security
