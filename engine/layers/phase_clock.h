// Splits the wall time of a run into phases.
#pragma once

#include <chrono>
#include <cstdint>

#include "engine/execution_report.h"

namespace reprise::engine::layers {

// The time since the last call, or since construction, goes to the phase that has just ended.
class PhaseClock {
 public:
  explicit PhaseClock(ExecutionReport* report) : report_(report) {}

  void EndOf(Phase phase) {
    const auto now = std::chrono::steady_clock::now();
    report_->phase_ns[static_cast<int>(phase)] += Nanoseconds(now - last_);
    last_ = now;
  }
  std::int64_t elapsed_ns() const { return Nanoseconds(std::chrono::steady_clock::now() - start_); }

 private:
  static std::int64_t Nanoseconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
  }

  ExecutionReport* report_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_ = start_;
};

}  // namespace reprise::engine::layers
