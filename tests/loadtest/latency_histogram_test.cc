#include "loadtest/generator/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::loadtest {
namespace {

using std::chrono::nanoseconds;

TEST(LatencyHistogram, IsExactForShortTimes) {
  LatencyHistogram histogram;
  for (const int value : {30, 10, 20, 40}) histogram.Record(nanoseconds(value));
  EXPECT_EQ(histogram.Percentile(1), nanoseconds(10));
  EXPECT_EQ(histogram.Percentile(50), nanoseconds(20));
  EXPECT_EQ(histogram.Percentile(51), nanoseconds(30));
  EXPECT_EQ(histogram.Percentile(100), nanoseconds(40));
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_EQ(histogram.mean_ns(), 25);
  EXPECT_EQ(histogram.CountUpTo(nanoseconds(20)), 2);
  EXPECT_EQ(histogram.CountUpTo(nanoseconds(9)), 0);
}

TEST(LatencyHistogram, OfNothingIsZero) {
  EXPECT_EQ(LatencyHistogram().Percentile(99), nanoseconds(0));
  EXPECT_EQ(LatencyHistogram().max(), nanoseconds(0));
}

TEST(LatencyHistogram, ATimeBeforeTheStartCountsAsZero) {
  LatencyHistogram histogram;
  histogram.Record(nanoseconds(-5));
  EXPECT_EQ(histogram.Percentile(100), nanoseconds(0));
}

// From 1 ns to 20 s, against the percentiles of the sorted times.
TEST(LatencyHistogram, PercentilesAreWithinAThousandth) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(0, std::log(2e10));
  LatencyHistogram histogram;
  std::vector<nanoseconds> times;
  for (int i = 0; i < 20000; ++i) {
    times.emplace_back(static_cast<std::int64_t>(std::exp(exponent(random))));
    histogram.Record(times.back());
  }
  std::sort(times.begin(), times.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(times.size())));
    const auto exact = static_cast<double>(times[rank - 1].count());
    const auto found = static_cast<double>(histogram.Percentile(percent).count());
    EXPECT_GE(found, exact) << percent;
    EXPECT_LE(found, exact * 1.001) << percent;
  }
  EXPECT_EQ(histogram.max(), times.back());
}

}  // namespace
}  // namespace reprise::loadtest
