#include "server/commands/simulation_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace reprise::server::commands {
namespace {

using simulation::Arrival;
using simulation::BatchShape;
using simulation::Fate;
using simulation::RequestOutcome;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PercentilesOf, TakesTheNearestRank) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const Percentiles percentiles = PercentilesOf(values);
  EXPECT_EQ(percentiles.p50, 50);
  EXPECT_EQ(percentiles.p90, 90);
  EXPECT_EQ(percentiles.p99, 99);
  EXPECT_EQ(percentiles.max, 100);
  EXPECT_EQ(PercentilesOf({7}).p50, 7);
  EXPECT_EQ(PercentilesOf({}).p99, 0);
}

class SimulationReportTest : public ::testing::Test {
 protected:
  SimulationReportTest() {
    for (int i = 0; i < 4; ++i) trace_.push_back({.at = milliseconds(i), .row_tokens = {10, 20}});
    result_.requests = {
        {.fate = Fate::kInTime, .wait = milliseconds(1), .latency = milliseconds(5)},
        {.fate = Fate::kLate, .wait = milliseconds(3), .latency = milliseconds(9)},
        {.fate = Fate::kExpired, .refusal = RefusalReason::kDeadline, .wait = milliseconds(2)},
        {.fate = Fate::kRefused, .refusal = RefusalReason::kQueueRows}};
    result_.batches = {{.requests = 2,
                        .rows = 4,
                        .tokens = 60,
                        .time = milliseconds(5),
                        .closed = BatchCloseReason::kCost}};
    result_.duration = milliseconds(10);
  }

  simulation::ArrivalTrace trace_;
  simulation::SimulationResult result_;
};

TEST_F(SimulationReportTest, CountsWhatBecameOfTheRequests) {
  const SimulationSummary summary = Summarize(trace_, result_, /*executors=*/1);
  EXPECT_EQ(summary.all.requests, 4);
  EXPECT_EQ(summary.all.in_time, 1);
  EXPECT_EQ(summary.all.late, 1);
  EXPECT_EQ(summary.all.expired, 1);
  EXPECT_EQ(summary.all.refused, 1);
  EXPECT_EQ(summary.all.latency_ms.max, 9);
  EXPECT_EQ(summary.all.wait_ms.p50, 1);
  EXPECT_DOUBLE_EQ(summary.goodput, 100);
  EXPECT_DOUBLE_EQ(summary.tokens_per_second, 3000);
  EXPECT_DOUBLE_EQ(summary.busy, 0.5);
  EXPECT_EQ(summary.refused_by_reason.at("deadline"), 1);
  EXPECT_EQ(summary.refused_by_reason.at("queue_rows"), 1);
  EXPECT_EQ(summary.closed_by_reason.at("cost"), 1);
  EXPECT_TRUE(summary.by_priority.empty());
  EXPECT_TRUE(summary.by_client.empty());
}

TEST_F(SimulationReportTest, SeparatesPrioritiesAndClientsWhereThereAreSeveral) {
  trace_[1].priority = 1;
  trace_[2].client = "a";
  const SimulationSummary summary = Summarize(trace_, result_, 1);
  EXPECT_EQ(summary.by_priority.at(1).late, 1);
  EXPECT_EQ(summary.by_priority.at(0).requests, 3);
  EXPECT_EQ(summary.by_client.at("a").expired, 1);
  const std::string text = ToText(summary);
  EXPECT_THAT(text, HasSubstr("priority 1"));
  EXPECT_THAT(text, HasSubstr("client a"));
  EXPECT_THAT(ToText(Summarize({trace_[0]}, {.requests = {result_.requests[0]}}, 1)),
              Not(HasSubstr("client")));
}

TEST_F(SimulationReportTest, JsonHasTheSameNumbers) {
  const nlohmann::json json = ToJson(Summarize(trace_, result_, 1));
  EXPECT_EQ(json["all"]["late"], 1);
  EXPECT_EQ(json["batches"]["closed_by_reason"]["cost"], 1);
  EXPECT_EQ(json["goodput_requests_per_second"], 100);
  EXPECT_EQ(json["batches"]["tokens"]["max"], 60);
}

TEST(SimulationReport, OfATraceWithoutABatchHasNoDivisionByZero) {
  const simulation::ArrivalTrace trace = {{.row_tokens = {1}}};
  const SimulationSummary summary =
      Summarize(trace, {.requests = {{.fate = Fate::kRefused}}}, /*executors=*/1);
  EXPECT_EQ(summary.goodput, 0);
  EXPECT_EQ(summary.busy, 0);
  EXPECT_THAT(ToText(summary), HasSubstr("none"));
}

}  // namespace
}  // namespace reprise::server::commands
