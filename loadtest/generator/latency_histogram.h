// How often each latency was seen, to three digits, in memory that does not grow with the calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace reprise::loadtest {

// A high dynamic range histogram: 1024 or more steps for each doubling of the time, so that a
// percentile is at most 0.1 % above the time that was recorded. Up to 2048 ns it is exact.
// Not thread-safe.
class LatencyHistogram {
 public:
  void Record(std::chrono::nanoseconds latency);  // below zero counts as zero

  std::int64_t count() const { return count_; }
  std::chrono::nanoseconds max() const { return max_; }
  double mean_ns() const { return count_ == 0 ? 0 : sum_ns_ / static_cast<double>(count_); }

  // Nearest rank: the smallest time that `percent` of those recorded do not exceed, rounded up to
  // the end of its step; 0 ns of none. 0 < percent <= 100.
  std::chrono::nanoseconds Percentile(double percent) const;
  // Of those recorded, how many are in the steps up to this time's.
  std::int64_t CountUpTo(std::chrono::nanoseconds latency) const;

 private:
  std::vector<std::int64_t> steps_;
  std::int64_t count_ = 0;
  std::chrono::nanoseconds max_{0};
  double sum_ns_ = 0;
};

}  // namespace reprise::loadtest
