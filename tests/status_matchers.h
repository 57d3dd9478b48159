// GoogleTest matchers for absl::Status and absl::StatusOr, which Debian's Abseil lacks.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace reprise::testing {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

// EXPECT_THAT(Open(path), IsOk());
MATCHER(IsOk, "is OK") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).ok();
}

// EXPECT_THAT(Open(path), StatusIs(absl::StatusCode::kNotFound, HasSubstr("model.safetensors")));
MATCHER_P2(StatusIs, code, message_matcher, "") {
  const absl::Status& status = GetStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message_matcher, std::string(status.message()),
                                       result_listener);
}

}  // namespace reprise::testing

#define ASSERT_OK(expression) ASSERT_THAT(expression, ::reprise::testing::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT(expression, ::reprise::testing::IsOk())
