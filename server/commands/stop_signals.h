// Waits for the signals that ask the process to stop, in an ordinary thread instead of a handler.
#pragma once

#include <csignal>
#include <thread>

#include "server/request/inference_request.h"

namespace reprise::server::commands {

// Create it before any other thread: SIGTERM and SIGINT are blocked for the creating thread and
// those it starts, and read here only. Not thread-safe.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  // SIGTERM or SIGINT once it has come, 0 when `deadline` came first. Requires: not called after
  // NextOneEndsTheProcess.
  int Wait(SteadyClock::time_point deadline);

  // From now on a signal ends the process at once, with status 128 + its number, whatever the other
  // threads are at.
  void NextOneEndsTheProcess();

 private:
  sigset_t signals_;
  std::thread watcher_;
};

}  // namespace reprise::server::commands
