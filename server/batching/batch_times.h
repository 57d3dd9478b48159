// Learns from finished batches how long a batch of so many tokens takes.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace reprise::server::batching {

// One running mean of tokens and time for each power of two of tokens; a prediction goes straight
// from mean to mean. Depends on what was recorded alone, not on a clock. Not thread-safe.
class BatchTimes {
 public:
  // Of a batch of `tokens` >= 1. The first few of each size count by the fastest, since first runs
  // touch new memory; later ones weigh an eighth each, and none for more than four times what was
  // known: a hiccup is not a trend.
  void Record(std::int64_t tokens, std::chrono::nanoseconds took);

  // Nothing before the first Record. Beyond what was measured in proportion to the tokens.
  std::optional<std::chrono::nanoseconds> Predict(std::int64_t tokens) const;
  // The same, longer by the mean relative error of the predictions so far.
  std::optional<std::chrono::nanoseconds> PredictWithMargin(std::int64_t tokens) const;
  bool empty() const { return empty_; }

 private:
  struct Bucket {
    std::int64_t samples = 0;
    double tokens = 0;  // mean
    double ns = 0;      // mean
  };
  static constexpr std::size_t kNumBuckets = 64;

  std::array<Bucket, kNumBuckets> buckets_{};  // [i]: batches of 2^i to 2^(i+1) - 1 tokens
  double relative_error_ = 0;
  bool empty_ = true;
};

}  // namespace reprise::server::batching
