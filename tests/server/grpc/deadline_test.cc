#include "server/grpc/deadline.h"

#include "gtest/gtest.h"

namespace reprise::server::grpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SteadyClock::time_point kNever = SteadyClock::time_point::max();
const SteadyClock::time_point kStart = SteadyClock::time_point(seconds(1000));

TEST(EndedByDeadlineTest, IsFalseWithoutADeadline) {
  EXPECT_FALSE(EndedByDeadline(kStart, kNever, kStart + seconds(1)));
}

TEST(EndedByDeadlineTest, IsTrueFromTheDeadlineOn) {
  EXPECT_TRUE(EndedByDeadline(kStart, kStart + milliseconds(1), kStart + milliseconds(1)));
}

TEST(EndedByDeadlineTest, AllowsForRoundingAndTravel) {
  EXPECT_TRUE(EndedByDeadline(kStart, kStart + seconds(10), kStart + milliseconds(9890)));
  EXPECT_FALSE(EndedByDeadline(kStart, kStart + seconds(10), kStart + milliseconds(9889)));
}

TEST(EndedByDeadlineTest, TakesAnEarlyEndOfAShortCallForTheCallersWish) {
  EXPECT_FALSE(EndedByDeadline(kStart, kStart + milliseconds(10), kStart + milliseconds(4)));
}

}  // namespace
}  // namespace reprise::server::grpc
