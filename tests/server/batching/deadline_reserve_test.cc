#include "server/batching/deadline_reserve.h"

#include "gtest/gtest.h"

namespace reprise::server::batching {
namespace {

using std::chrono::milliseconds;

const DeadlineReserve::TimePoint kNow{};

TEST(DeadlineReserve, KeepsNothingBeforeThereIsPressure) {
  const DeadlineReserve reserve;
  EXPECT_EQ(reserve.Latest(kNow + milliseconds(100), kNow), kNow + milliseconds(100));
}

TEST(DeadlineReserve, KeepsAShareOfTheTimeThatARequestHas) {
  DeadlineReserve reserve;
  for (int i = 0; i < 10; ++i) reserve.OnPressure();
  EXPECT_DOUBLE_EQ(reserve.share(), 0.2);
  EXPECT_EQ(reserve.Latest(kNow + milliseconds(100), kNow), kNow + milliseconds(80));
  EXPECT_EQ(reserve.Latest(kNow + milliseconds(110), kNow + milliseconds(10)),
            kNow + milliseconds(90));
}

TEST(DeadlineReserve, KeepsNoMoreThanHalf) {
  DeadlineReserve reserve;
  for (int i = 0; i < 1000; ++i) reserve.OnPressure();
  EXPECT_DOUBLE_EQ(reserve.share(), 0.5);
}

TEST(DeadlineReserve, ForgetsOncePressureIsGone) {
  DeadlineReserve reserve;
  for (int i = 0; i < 1000; ++i) reserve.OnPressure();
  for (int i = 0; i < 1000; ++i) reserve.OnRelief();
  EXPECT_LT(reserve.share(), 1e-4);
}

}  // namespace
}  // namespace reprise::server::batching
