#include "server/batching/batch_times.h"

#include "gtest/gtest.h"

namespace reprise::server::batching {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(BatchTimes, PredictsNothingBeforeAnythingWasMeasured) {
  EXPECT_TRUE(BatchTimes().empty());
  EXPECT_FALSE(BatchTimes().Predict(10).has_value());
  EXPECT_FALSE(BatchTimes().PredictWithMargin(10).has_value());
}

TEST(BatchTimes, OneMeasurementPredictsInProportion) {
  BatchTimes times;
  times.Record(100, milliseconds(10));
  EXPECT_EQ(times.Predict(100), milliseconds(10));
  EXPECT_EQ(times.Predict(10), milliseconds(1));
  EXPECT_EQ(times.Predict(1000), milliseconds(100));
}

TEST(BatchTimes, GoesStraightFromMeanToMean) {
  BatchTimes times;
  times.Record(1, milliseconds(2));
  times.Record(101, milliseconds(12));
  EXPECT_EQ(times.Predict(1), milliseconds(2));
  EXPECT_EQ(times.Predict(51), milliseconds(7));
  EXPECT_EQ(times.Predict(101), milliseconds(12));
  EXPECT_EQ(times.Predict(202), milliseconds(24));
}

TEST(BatchTimes, FirstRunsThatTouchNewMemoryAreForgotten) {
  BatchTimes times;
  times.Record(100, milliseconds(900));
  times.Record(100, milliseconds(10));
  times.Record(100, milliseconds(11));
  EXPECT_EQ(times.Predict(100), milliseconds(10));
}

TEST(BatchTimes, FollowsAMachineThatGetsSlower) {
  BatchTimes times;
  for (int i = 0; i < 10; ++i) times.Record(100, milliseconds(10));
  for (int i = 0; i < 60; ++i) times.Record(100, milliseconds(200));
  EXPECT_GT(*times.Predict(100), milliseconds(190));
}

TEST(BatchTimes, AHiccupIsNotATrend) {
  BatchTimes times;
  for (int i = 0; i < 10; ++i) times.Record(100, milliseconds(10));
  times.Record(100, std::chrono::seconds(30));
  EXPECT_LT(*times.Predict(100), milliseconds(14));
}

TEST(BatchTimes, MarginIsTheMeanErrorSoFar) {
  BatchTimes times;
  for (int i = 0; i < 100; ++i) times.Record(100, milliseconds(10));
  EXPECT_EQ(times.PredictWithMargin(100), times.Predict(100));
  for (int i = 0; i < 100; ++i) times.Record(100, milliseconds(i % 2 == 0 ? 8 : 12));
  EXPECT_NEAR(static_cast<double>(times.PredictWithMargin(100)->count()), 12e6, 0.6e6);
}

TEST(BatchTimes, SizesAreLearntApart) {
  BatchTimes times;
  for (int i = 0; i < 20; ++i) {
    times.Record(16, milliseconds(4));
    times.Record(1024, milliseconds(60));
  }
  EXPECT_EQ(times.Predict(16), milliseconds(4));
  EXPECT_EQ(times.Predict(1024), milliseconds(60));
}

TEST(BatchTimes, TimesOfNothingAndWithoutEndAreHarmless) {
  BatchTimes times;
  for (int i = 0; i < 10; ++i) times.Record(1, nanoseconds(0));
  EXPECT_GE(times.PredictWithMargin(1)->count(), 0);
  times.Record(std::int64_t{1} << 62, nanoseconds::max());
  EXPECT_GT(times.PredictWithMargin(std::int64_t{1} << 62)->count(), 0);
}

}  // namespace
}  // namespace reprise::server::batching
