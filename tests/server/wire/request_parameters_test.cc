#include "server/wire/request_parameters.h"

#include <chrono>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::wire {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ReadRequestParametersTest, ReadsPriorityOfEitherSign) {
  ParameterMap parameters;
  InferenceRequest request;
  parameters["priority"].set_int64_param(2);
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.priority, 2);
  parameters["priority"].set_uint64_param(1);
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.priority, 1);
}

TEST(ReadRequestParametersTest, TakesAHugePriorityForTheDefault) {
  ParameterMap parameters;
  InferenceRequest request;
  parameters["priority"].set_uint64_param(std::numeric_limits<std::uint64_t>::max());
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.priority, 0);
}

TEST(ReadRequestParametersTest, CountsTheTimeoutInMicrosecondsFromArrival) {
  ParameterMap parameters;
  InferenceRequest request;
  parameters["timeout"].set_int64_param(1500);
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.deadline - request.arrival, std::chrono::microseconds(1500));
}

TEST(ReadRequestParametersTest, KeepsAnEarlierDeadline) {
  ParameterMap parameters;
  InferenceRequest request;
  request.deadline = request.arrival + std::chrono::microseconds(3);
  parameters["timeout"].set_int64_param(1500);
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.deadline - request.arrival, std::chrono::microseconds(3));
}

TEST(ReadRequestParametersTest, TakesZeroAndAnEndlessTimeoutForNone) {
  ParameterMap parameters;
  InferenceRequest request;
  parameters["timeout"].set_int64_param(0);
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.deadline, SteadyClock::time_point::max());
  parameters["timeout"].set_uint64_param(std::numeric_limits<std::uint64_t>::max());
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_EQ(request.deadline, SteadyClock::time_point::max());
}

TEST(ReadRequestParametersTest, ReadsTruncate) {
  ParameterMap parameters;
  InferenceRequest request;
  parameters["truncate"].set_bool_param(true);
  ASSERT_THAT(ReadRequestParameters(parameters, &request), IsOk());
  EXPECT_TRUE(request.truncate);
}

TEST(ReadRequestParametersTest, AcceptsWhatHasNoEffect) {
  ParameterMap parameters;
  parameters["sequence_id"].set_string_param("s");
  parameters["sequence_start"].set_bool_param(true);
  parameters["headers"].set_string_param("h");
  parameters["binary_data_output"].set_bool_param(true);
  parameters["triton_enable_empty_final_response"].set_bool_param(true);
  parameters["own"].set_double_param(0.5);
  InferenceRequest request;
  EXPECT_THAT(ReadRequestParameters(parameters, &request), IsOk());
}

TEST(ReadRequestParametersTest, RefusesAnUnknownReservedKey) {
  ParameterMap parameters;
  parameters["triton_mystery"].set_bool_param(true);
  InferenceRequest request;
  EXPECT_THAT(ReadRequestParameters(parameters, &request),
              StatusIs(kInvalid, HasSubstr("'triton_mystery' is reserved")));
}

TEST(ReadRequestParametersTest, RefusesWrongKinds) {
  for (const char* key : {"priority", "timeout", "truncate"}) {
    SCOPED_TRACE(key);
    ParameterMap parameters;
    InferenceRequest request;
    parameters[key].set_string_param("1");
    EXPECT_THAT(ReadRequestParameters(parameters, &request), StatusIs(kInvalid, HasSubstr(key)));
    parameters[key].Clear();
    EXPECT_THAT(ReadRequestParameters(parameters, &request), StatusIs(kInvalid, HasSubstr(key)));
  }
}

TEST(ReadTimingWishTest, IsABoolThatMayBeAbsent) {
  ParameterMap parameters;
  EXPECT_FALSE(ReadTimingWish(parameters).value());
  parameters["reprise_timing"].set_bool_param(true);
  EXPECT_TRUE(ReadTimingWish(parameters).value());
  parameters["reprise_timing"].set_int64_param(1);
  EXPECT_THAT(ReadTimingWish(parameters).status(), StatusIs(kInvalid, HasSubstr("reprise_timing")));
}

TEST(ReadRequestParametersTest, RefusesNegativeNumbers) {
  for (const char* key : {"priority", "timeout"}) {
    SCOPED_TRACE(key);
    ParameterMap parameters;
    InferenceRequest request;
    parameters[key].set_int64_param(-1);
    EXPECT_THAT(ReadRequestParameters(parameters, &request), StatusIs(kInvalid, HasSubstr(key)));
  }
}

TEST(ReadClassificationTest, IsZeroWhenAbsent) { EXPECT_EQ(*ReadClassification({}), 0); }

TEST(ReadClassificationTest, RefusesZeroAndText) {
  ParameterMap parameters;
  parameters["classification"].set_int64_param(0);
  EXPECT_THAT(ReadClassification(parameters), StatusIs(kInvalid, HasSubstr("at least 1")));
  parameters["classification"].set_string_param("1");
  EXPECT_THAT(ReadClassification(parameters), StatusIs(kInvalid, HasSubstr("classification")));
}

}  // namespace
}  // namespace reprise::server::wire
