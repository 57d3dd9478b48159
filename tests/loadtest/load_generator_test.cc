#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "loadtest/generator/load_options.h"
#include "loadtest/generator/load_report.h"
#include "loadtest/generator/load_run.h"
#include "tests/status_matchers.h"

namespace reprise::loadtest {
namespace {

using ::reprise::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::HasSubstr;

TEST(PercentileTest, IsTheNearestRank) {
  const std::vector<nanoseconds> values = {nanoseconds(30), nanoseconds(10), nanoseconds(20),
                                           nanoseconds(40)};
  EXPECT_EQ(Percentile(values, 1), nanoseconds(10));
  EXPECT_EQ(Percentile(values, 50), nanoseconds(20));
  EXPECT_EQ(Percentile(values, 51), nanoseconds(30));
  EXPECT_EQ(Percentile(values, 100), nanoseconds(40));
  EXPECT_EQ(Percentile({}, 50), nanoseconds(0));
}

TEST(LoadReportTest, CountsByCodeAndKeepsRefusalsApart) {
  const LoadReport report({{::grpc::StatusCode::OK, milliseconds(10), false},
                           {::grpc::StatusCode::OK, milliseconds(30), false},
                           {::grpc::StatusCode::RESOURCE_EXHAUSTED, milliseconds(2), true},
                           {::grpc::StatusCode::DEADLINE_EXCEEDED, milliseconds(50), false}},
                          std::chrono::seconds(2));
  const nlohmann::json json = report.ToJson();
  EXPECT_EQ(json["calls"], 4);
  EXPECT_EQ(json["calls_per_second"], 2.0);
  EXPECT_EQ(json["ok_per_second"], 1.0);
  EXPECT_EQ(json["codes"],
            (nlohmann::json{{"OK", 2}, {"RESOURCE_EXHAUSTED", 1}, {"DEADLINE_EXCEEDED", 1}}));
  EXPECT_EQ(json["ok"]["p50_ms"], 10.0);
  EXPECT_EQ(json["ok"]["max_ms"], 30.0);
  EXPECT_EQ(json["refused"]["calls"], 1);
  EXPECT_EQ(json["refused"]["p99_ms"], 2.0);
  EXPECT_THAT(report.ToText(), HasSubstr("4 calls in 2.0 s"));
}

TEST(LoadOptionsTest, WhatIsOutOfRangeIsNamed) {
  EXPECT_THAT(Validate({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model")));
  EXPECT_THAT(Validate({.model = "m", .seq_lens = {0}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("seq_len is 0")));
  EXPECT_THAT(Validate({.model = "m", .rate = -1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rate is -1")));
  EXPECT_OK(Validate({.model = "m"}));
}

}  // namespace
}  // namespace reprise::loadtest
