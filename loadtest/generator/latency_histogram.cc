#include "loadtest/generator/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace reprise::loadtest {
namespace {

constexpr int kExactBits = 11;  // times below 2^11 ns have a step each
constexpr std::uint64_t kExact = std::uint64_t{1} << kExactBits;
constexpr std::uint64_t kStepsPerDoubling = kExact / 2;

std::size_t StepOf(std::chrono::nanoseconds latency) {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  if (value < kExact) return value;
  const int dropped = std::bit_width(value) - kExactBits;  // low bits that the step ignores
  return static_cast<std::size_t>(dropped) * kStepsPerDoubling + (value >> dropped);
}

std::chrono::nanoseconds EndOf(std::size_t step) {
  if (step < kExact) return std::chrono::nanoseconds(step);
  const std::size_t dropped = (step - kStepsPerDoubling) / kStepsPerDoubling;
  const std::uint64_t top = step - dropped * kStepsPerDoubling;
  return std::chrono::nanoseconds(((top + 1) << dropped) - 1);
}

}  // namespace

void LatencyHistogram::Record(std::chrono::nanoseconds latency) {
  const std::size_t step = StepOf(latency);
  if (step >= steps_.size()) steps_.resize(step + 1);
  ++steps_[step];
  ++count_;
  max_ = std::max(max_, latency);
  sum_ns_ += static_cast<double>(std::max<std::int64_t>(latency.count(), 0));
}

std::chrono::nanoseconds LatencyHistogram::Percentile(double percent) const {
  if (count_ == 0) return {};
  auto left = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(percent / 100 * static_cast<double>(count_))));
  for (std::size_t step = 0; step < steps_.size(); ++step) {
    left -= steps_[step];
    if (left <= 0) return std::min(EndOf(step), max_);
  }
  return max_;
}

std::int64_t LatencyHistogram::CountUpTo(std::chrono::nanoseconds latency) const {
  std::int64_t counted = 0;
  const std::size_t end = std::min(steps_.size(), StepOf(latency) + 1);
  for (std::size_t step = 0; step < end; ++step) counted += steps_[step];
  return counted;
}

}  // namespace reprise::loadtest
