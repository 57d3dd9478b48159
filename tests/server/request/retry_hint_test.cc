#include "server/request/retry_hint.h"

#include "gtest/gtest.h"

namespace reprise::server {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(RetryHint, TravelsWithTheStatus) {
  const absl::Status status =
      WithRetryHint(absl::ResourceExhaustedError("the queue is full"), microseconds(2100));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the queue is full");
  EXPECT_EQ(RetryHint(status), milliseconds(3));
}

TEST(RetryHint, IsWithinReason) {
  EXPECT_EQ(RetryHint(WithRetryHint(absl::UnavailableError(""), {})), milliseconds(1));
  EXPECT_EQ(RetryHint(WithRetryHint(absl::UnavailableError(""), hours(9))), milliseconds(60'000));
}

TEST(RetryHint, IsNotThereUnlessPutIn) {
  EXPECT_FALSE(RetryHint(absl::UnavailableError("")).has_value());
  EXPECT_FALSE(RetryHint(absl::OkStatus()).has_value());
}

}  // namespace
}  // namespace reprise::server
