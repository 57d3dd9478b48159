#include "server/batching/batch_times.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/check.h"

namespace reprise::server::batching {
namespace {

constexpr std::int64_t kFirstSamples = 3;
constexpr double kWeight = 1.0 / 8;
constexpr double kMostOfKnown = 4;
constexpr double kLargestError = 1;

double Mix(double mean, double sample) { return mean + kWeight * (sample - mean); }

std::chrono::nanoseconds Nanoseconds(double ns) {
  constexpr double kMost = 1e18;  // 30 years: far below overflow
  return std::chrono::nanoseconds(std::llround(std::min(ns, kMost)));
}

}  // namespace

void BatchTimes::Record(std::int64_t tokens, std::chrono::nanoseconds took) {
  REPRISE_CHECK(tokens >= 1);
  Bucket& bucket = buckets_[std::bit_width(static_cast<std::uint64_t>(tokens)) - 1];
  const auto sample_tokens = static_cast<double>(tokens);
  const double sample_ns = std::max(1.0, static_cast<double>(took.count()));
  if (bucket.samples >= kFirstSamples) {
    const double predicted = static_cast<double>(Predict(tokens)->count());
    const double error = std::abs(sample_ns - predicted) / std::max(1.0, predicted);
    relative_error_ = Mix(relative_error_, std::min(error, kLargestError));
    bucket.tokens = Mix(bucket.tokens, sample_tokens);
    bucket.ns = Mix(bucket.ns, std::min(sample_ns, kMostOfKnown * bucket.ns));
  } else if (bucket.samples == 0 || sample_ns / sample_tokens < bucket.ns / bucket.tokens) {
    bucket.tokens = sample_tokens;
    bucket.ns = sample_ns;
  }
  ++bucket.samples;
  empty_ = false;
}

std::optional<std::chrono::nanoseconds> BatchTimes::Predict(std::int64_t tokens) const {
  if (empty_) return std::nullopt;
  const auto wanted = static_cast<double>(tokens);
  const Bucket* below = nullptr;
  for (const Bucket& bucket : buckets_) {
    if (bucket.samples == 0) continue;
    if (bucket.tokens >= wanted && below != nullptr) {
      const double part = (wanted - below->tokens) / (bucket.tokens - below->tokens);
      return Nanoseconds(below->ns + part * (bucket.ns - below->ns));
    }
    below = &bucket;
    if (bucket.tokens >= wanted) break;
  }
  return Nanoseconds(below->ns * wanted / below->tokens);
}

std::optional<std::chrono::nanoseconds> BatchTimes::PredictWithMargin(std::int64_t tokens) const {
  const auto predicted = Predict(tokens);
  if (!predicted) return std::nullopt;
  return Nanoseconds(static_cast<double>(predicted->count()) * (1 + relative_error_));
}

}  // namespace reprise::server::batching
