#include "loadtest/generator/load_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/loadtest/made_outcome.h"

namespace reprise::loadtest {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(LoadReport, CountsByCodeAndKeepsRefusalsApart) {
  const LoadReport report = MakeReport(MadeOutcome());
  const nlohmann::ordered_json json = report.ToJson();
  EXPECT_EQ(json["calls"], 4);
  EXPECT_EQ(json["calls_per_second"], 2.0);
  EXPECT_EQ(json["ok_per_second"], 1.0);
  EXPECT_EQ(json["ok_share"], 0.5);
  EXPECT_EQ(json["codes"], (nlohmann::ordered_json{
                               {"DEADLINE_EXCEEDED", 1}, {"OK", 2}, {"RESOURCE_EXHAUSTED", 1}}));
  EXPECT_NEAR(json["ok"]["p50_ms"], 10, 0.01);
  EXPECT_EQ(json["ok"]["max_ms"], 30.0);
  EXPECT_EQ(json["ok"]["mean_ms"], 20.0);
  EXPECT_EQ(json["refused"]["calls"], 1);
  EXPECT_EQ(json["refused"]["p99_ms"], 2.0);
  EXPECT_EQ(json["valid"], true);
  EXPECT_THAT(report.ToText(), HasSubstr("4 calls in 2.0 s"));
  EXPECT_THAT(report.ToText(), Not(HasSubstr("INVALID")));
}

TEST(LoadReport, HasTheCallsOfEachSecond) {
  const LoadReport report = MakeReport(MadeOutcome());
  ASSERT_EQ(report.intervals.size(), 2u);
  EXPECT_EQ(report.intervals[0].due, 2);
  EXPECT_EQ(report.intervals[0].ok, 1);
  EXPECT_EQ(report.intervals[1].start_s, 1);
  EXPECT_EQ(report.intervals[1].ok_latency.max(), milliseconds(30));
}

TEST(LoadReport, LatencyBeginsWhenACallWasDue) {
  LoadOutcome outcome = MadeOutcome();
  outcome.calls[0].sent += milliseconds(500);
  outcome.calls[0].done += milliseconds(500);
  const LoadReport report = MakeReport(outcome);
  EXPECT_EQ(report.ok.max(), milliseconds(510));
  EXPECT_EQ(report.late, 1);
}

TEST(LoadReport, ARunOfWhichMoreThanOnePercentWasLateIsInvalid) {
  LoadOutcome outcome = MadeOutcome();
  outcome.calls.resize(1);
  outcome.calls.resize(200, outcome.calls[0]);
  for (int i = 0; i < 2; ++i) outcome.calls[i].sent += kLate * 2;
  EXPECT_TRUE(MakeReport(outcome).valid());
  outcome.calls[2].sent += kLate * 2;
  EXPECT_FALSE(MakeReport(outcome).valid());
  EXPECT_THAT(MakeReport(outcome).ToText(), HasSubstr("INVALID: 1.5 %"));
}

TEST(LoadReport, ACallThatWasNotSentMakesTheRunInvalidAndLowersTheShare) {
  LoadOutcome outcome = MadeOutcome();
  outcome.not_sent = 4;
  EXPECT_FALSE(MakeReport(outcome).valid());
  EXPECT_EQ(MakeReport(outcome).ok_share(), 0.25);
  EXPECT_EQ(MakeReport(outcome).offered_per_second(), 4);
}

TEST(LoadReport, CodesHaveGrpcsNames) {
  EXPECT_EQ(CodeName(::grpc::StatusCode::OK), "OK");
  EXPECT_EQ(CodeName(::grpc::StatusCode::FAILED_PRECONDITION), "FAILED_PRECONDITION");
  EXPECT_EQ(CodeName(::grpc::StatusCode::UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(static_cast<::grpc::StatusCode>(99)), "CODE_99");
}

}  // namespace
}  // namespace reprise::loadtest
