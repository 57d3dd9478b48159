#include "server/batching/arrival_rate.h"

#include "gtest/gtest.h"
#include "tests/server/batching/queued_items.h"

namespace reprise::server::batching {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ArrivalRate, IsNothingBeforeAnythingCame) {
  EXPECT_EQ(ArrivalRate().TokensPerSecond(kNow), 0);
}

TEST(ArrivalRate, FollowsASteadyStream) {
  ArrivalRate rate;
  SteadyClock::time_point now = kNow;
  for (int i = 0; i < 1000; ++i) {
    now += milliseconds(10);
    rate.Record(50, now);
  }
  EXPECT_NEAR(rate.TokensPerSecond(now), 5000, 50);
}

TEST(ArrivalRate, ForgetsAStreamThatEnded) {
  ArrivalRate rate;
  for (int i = 0; i < 1000; ++i) rate.Record(50, kNow);
  EXPECT_EQ(rate.TokensPerSecond(kNow), 50'000);
  EXPECT_NEAR(rate.TokensPerSecond(kNow + seconds(1)), 50'000 / 2.718, 10);
  EXPECT_LT(rate.TokensPerSecond(kNow + seconds(30)), 1);
}

TEST(ArrivalRate, ClocksReadInAnotherOrderDoNoHarm) {
  ArrivalRate rate;
  rate.Record(50, kNow);
  rate.Record(50, kNow - seconds(5));
  EXPECT_EQ(rate.TokensPerSecond(kNow - seconds(9)), 100);
}

}  // namespace
}  // namespace reprise::server::batching
