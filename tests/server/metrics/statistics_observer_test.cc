#include "server/metrics/statistics_observer.h"

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/metric_family.h"
#include "server/metrics/triton_metrics.h"

namespace reprise::server::metrics {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using ::testing::ElementsAre;

ModelDescription Description(const std::string& model, const std::string& version) {
  ModelDescription description;
  description.name = model;
  description.version = version;
  description.limits.executors = 2;
  return description;
}

// An answered request of `rows` rows, in a batch of `batch_rows`.
InferenceOutcome Answered(std::int64_t rows, std::int64_t batch_rows) {
  InferenceOutcome outcome;
  outcome.model = "demo";
  outcome.version = "1";
  outcome.duration = milliseconds(20);
  outcome.encode = microseconds(30);
  outcome.timing = {.tokenize = microseconds(100),
                    .queue = milliseconds(2),
                    .form = microseconds(50),
                    .compute = milliseconds(10),
                    .unpack = microseconds(5),
                    .batch_rows = batch_rows,
                    .batch_tokens = 7 * batch_rows};
  outcome.rows = rows;
  outcome.tokens = 7 * rows;
  return outcome;
}

InferenceOutcome Failed(absl::StatusCode code, RefusalReason refusal = RefusalReason::kNone) {
  InferenceOutcome outcome;
  outcome.model = "demo";
  outcome.duration = milliseconds(1);
  outcome.code = code;
  outcome.refusal = refusal;
  return outcome;
}

class StatisticsObserverTest : public ::testing::Test {
 protected:
  void SetUp() override { observer_.OnModelReady(Description("demo", "1"), milliseconds(1500)); }

  void RunBatch(std::int64_t rows) {
    engine::ExecutionReport report;
    report.arena_bytes = 1000;
    BatchOutcome batch;
    batch.model = "demo";
    batch.version = "1";
    batch.rows = rows;
    batch.form = microseconds(50);
    batch.compute = milliseconds(10);
    batch.report = &report;
    observer_.OnBatchFinished(batch);
  }
  VersionStatistics Demo() { return observer_.Statistics().at(0); }

  StatisticsObserver observer_;
};

TEST_F(StatisticsObserverTest, CountsABatchOfOneAndABatchOfEight) {
  RunBatch(1);
  observer_.OnInferenceFinished(Answered(1, 1));
  RunBatch(8);
  observer_.OnInferenceFinished(Answered(8, 8));
  const VersionStatistics demo = Demo();
  EXPECT_EQ(demo.success.count, 2);
  EXPECT_EQ(demo.inference_count, 9);
  EXPECT_EQ(demo.execution_count, 2);
  EXPECT_EQ(demo.fail.count, 0);
}

TEST_F(StatisticsObserverTest, CountsASharedBatchOnceAndItsTimeForEachRequest) {
  RunBatch(3);
  for (const std::int64_t rows : {1, 2}) observer_.OnInferenceFinished(Answered(rows, 3));
  const VersionStatistics demo = Demo();
  EXPECT_EQ(demo.execution_count, 1);
  EXPECT_EQ(demo.inference_count, 3);
  EXPECT_EQ(demo.success.time, milliseconds(40));
  EXPECT_EQ(demo.queue.time, milliseconds(4));
  EXPECT_EQ(demo.compute_input.time, microseconds(300));
  EXPECT_EQ(demo.compute_infer.time, milliseconds(20));
  EXPECT_EQ(demo.compute_output.time, microseconds(70));
  ASSERT_EQ(demo.batches.size(), 1u);
  EXPECT_EQ(demo.batches[0].rows, 3);
  EXPECT_EQ(demo.batches[0].infer.count, 1);
  EXPECT_EQ(demo.batches[0].infer.time, milliseconds(10));
  EXPECT_EQ(demo.batches[0].input.time, microseconds(50));
  EXPECT_EQ(demo.batches[0].output.count, 1);
  EXPECT_EQ(demo.batches[0].output.time, microseconds(10));
}

TEST_F(StatisticsObserverTest, ListsBatchSizesAscending) {
  for (const std::int64_t rows : {8, 1, 8, 3}) RunBatch(rows);
  std::vector<std::int64_t> sizes;
  for (const auto& size : Demo().batches) sizes.push_back(size.rows);
  EXPECT_THAT(sizes, ElementsAre(1, 3, 8));
}

TEST_F(StatisticsObserverTest, AFailedBatchWasNoExecution) {
  observer_.OnBatchFinished({.model = "demo", .version = "1", .rows = 4});
  observer_.OnInferenceFinished(Failed(absl::StatusCode::kInternal));
  EXPECT_EQ(Demo().execution_count, 0);
  EXPECT_EQ(Demo().failures.backend, 1);
}

TEST_F(StatisticsObserverTest, TellsFailuresByReason) {
  using absl::StatusCode;
  observer_.OnInferenceFinished(Failed(StatusCode::kResourceExhausted, RefusalReason::kQueueRows));
  observer_.OnInferenceFinished(Failed(StatusCode::kResourceExhausted, RefusalReason::kQuota));
  observer_.OnInferenceFinished(Failed(StatusCode::kDeadlineExceeded, RefusalReason::kDeadline));
  observer_.OnInferenceFinished(Failed(StatusCode::kCancelled));
  observer_.OnInferenceFinished(Failed(StatusCode::kInternal));
  observer_.OnInferenceFinished(Failed(StatusCode::kInvalidArgument, RefusalReason::kInvalid));
  observer_.OnInferenceFinished(Failed(StatusCode::kResourceExhausted, RefusalReason::kTooLarge));
  observer_.OnInferenceFinished(Failed(StatusCode::kUnavailable, RefusalReason::kDraining));
  const VersionStatistics demo = Demo();
  EXPECT_EQ(demo.failures.rejected, 3);
  EXPECT_EQ(demo.failures.cancelled, 1);
  EXPECT_EQ(demo.failures.backend, 1);
  EXPECT_EQ(demo.failures.other, 3);
  EXPECT_EQ(demo.fail.count, 8);
  EXPECT_EQ(demo.fail.time, milliseconds(8));
  EXPECT_EQ(demo.cancelled.count, 1);
  EXPECT_EQ(demo.success.count, 0);
}

TEST_F(StatisticsObserverTest, AFailureWithoutVersionIsTheLatestReadyOnes) {
  observer_.OnModelReady(Description("demo", "10"), milliseconds(1));
  observer_.OnModelReady(Description("demo", "9"), milliseconds(1));
  observer_.OnInferenceFinished(Failed(absl::StatusCode::kInvalidArgument));
  InferenceOutcome asked = Failed(absl::StatusCode::kInvalidArgument);
  asked.version = "9";
  observer_.OnInferenceFinished(asked);
  observer_.OnModelState("demo", "10", ModelState::kUnavailable, "unloaded");
  observer_.OnInferenceFinished(Failed(absl::StatusCode::kCancelled));
  std::map<std::string, std::int64_t> failed;
  for (const auto& each : observer_.Statistics()) failed[each.version] = each.fail.count;
  EXPECT_EQ(failed, (std::map<std::string, std::int64_t>{{"1", 0}, {"9", 2}, {"10", 1}}));
}

TEST_F(StatisticsObserverTest, WhatNoModelIsCalledCountsNowhere) {
  InferenceOutcome outcome = Failed(absl::StatusCode::kNotFound);
  outcome.model = "nobody";
  observer_.OnInferenceFinished(outcome);
  outcome.model = "demo";
  outcome.version = "7";
  observer_.OnInferenceFinished(outcome);
  outcome.version = "seven";
  observer_.OnInferenceFinished(outcome);
  ASSERT_EQ(observer_.Statistics().size(), 1u);
  EXPECT_EQ(Demo().fail.count, 0);
}

TEST_F(StatisticsObserverTest, FollowsStateQueueAndMemory) {
  EXPECT_TRUE(Demo().ready);
  EXPECT_EQ(Demo().load_time, milliseconds(1500));
  observer_.OnQueueDepth("demo", "1", {.requests = 5, .rows = 9});
  EXPECT_EQ(Demo().pending, 5);
  EXPECT_EQ(Demo().memory_bytes, 0);
  RunBatch(1);
  EXPECT_EQ(Demo().memory_bytes, 2000) << "one arena for each of two executors";
  observer_.OnModelState("demo", "1", ModelState::kUnloading, "");
  EXPECT_FALSE(Demo().ready);
  observer_.OnModelReady(Description("demo", "1"), milliseconds(3));
  EXPECT_TRUE(Demo().ready);
  EXPECT_EQ(Demo().execution_count, 1) << "counts outlive an unload";
  EXPECT_EQ(Demo().memory_bytes, 0) << "the new arenas have not been seen";
}

TEST_F(StatisticsObserverTest, RemembersWhenTheLastInferenceCame) {
  EXPECT_EQ(Demo().last_inference.time_since_epoch().count(), 0);
  const auto before = std::chrono::system_clock::now() - milliseconds(20);
  observer_.OnInferenceFinished(Answered(1, 1));
  EXPECT_GE(Demo().last_inference, before);
  EXPECT_LE(Demo().last_inference, std::chrono::system_clock::now() - milliseconds(20));
}

TEST_F(StatisticsObserverTest, LosesNothingBetweenThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int n = 0; n < 500; ++n) {
        RunBatch(n % 3 + 1);
        observer_.OnInferenceFinished(Answered(2, n % 3 + 1));
        observer_.OnModelReady(Description("other-" + std::to_string(i), "1"), milliseconds(1));
        (void)observer_.Statistics();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Demo().success.count, 2000);
  EXPECT_EQ(Demo().inference_count, 4000);
  EXPECT_EQ(Demo().execution_count, 2000);
}

// Value of the series with these label values, by family name.
std::map<std::string, double> Scraped(const StatisticsSource& source, const std::string& version) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : TritonMetrics(source).Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::string name = family.name;
      bool wanted = false;
      for (const auto& label : metric.label) {
        if (label.name == "version") wanted = label.value == version;
        if (label.name == "reason") name += "/" + label.value;
      }
      const bool counter = family.type == prometheus::MetricType::Counter;
      if (wanted) values[name] = counter ? metric.counter.value : metric.gauge.value;
    }
  }
  return values;
}

TEST_F(StatisticsObserverTest, TritonsMetricsSayTheSame) {
  RunBatch(9);
  observer_.OnInferenceFinished(Answered(1, 9));
  observer_.OnInferenceFinished(Answered(8, 9));
  observer_.OnInferenceFinished(Failed(absl::StatusCode::kCancelled));
  observer_.OnQueueDepth("demo", "1", {.requests = 3});
  const std::map<std::string, double> expected = {{"nv_inference_request_success", 2},
                                                  {"nv_inference_request_failure/REJECTED", 0},
                                                  {"nv_inference_request_failure/CANCELED", 1},
                                                  {"nv_inference_request_failure/BACKEND", 0},
                                                  {"nv_inference_request_failure/OTHER", 0},
                                                  {"nv_inference_count", 9},
                                                  {"nv_inference_exec_count", 1},
                                                  {"nv_inference_request_duration_us", 40000},
                                                  {"nv_inference_queue_duration_us", 4000},
                                                  {"nv_inference_compute_input_duration_us", 300},
                                                  {"nv_inference_compute_infer_duration_us", 20000},
                                                  {"nv_inference_compute_output_duration_us", 70},
                                                  {"nv_inference_pending_request_count", 3},
                                                  {"nv_model_load_duration_secs", 1.5}};
  EXPECT_EQ(Scraped(observer_, "1"), expected);
}

}  // namespace
}  // namespace reprise::server::metrics
