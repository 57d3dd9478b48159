#include "server/wire/deadline.h"

#include <limits>

#include "gtest/gtest.h"

namespace reprise::server::wire {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

const SteadyClock::time_point kStart = SteadyClock::time_point(seconds(1000));

TEST(DeadlineAfterTest, AddsMicroseconds) {
  EXPECT_EQ(DeadlineAfter(kStart, 7), kStart + microseconds(7));
}

TEST(DeadlineAfterTest, StopsAtTheEndOfTheClock) {
  EXPECT_EQ(DeadlineAfter(kStart, std::numeric_limits<std::int64_t>::max()),
            SteadyClock::time_point::max());
}

}  // namespace
}  // namespace reprise::server::wire
