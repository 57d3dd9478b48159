#include "server/metrics/metrics_observer.h"

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/model.h"
#include "engine/weights/random_source.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/metrics/metric_catalogue.h"
#include "tests/server/metrics/scrape.h"

namespace reprise::server::metrics {
namespace {

using std::chrono::milliseconds;

const LabelPairs kDemo = {{"model", "demo"}, {"version", "1"}};

LabelPairs Demo(const std::string& label, const std::string& value) {
  return {{"model", "demo"}, {"version", "1"}, {label, value}};
}

class MetricsObserverTest : public ::testing::Test {
 protected:
  MetricsObserverTest() { observer_.OnModelState("demo", "1", ModelState::kLoading, ""); }

  MetricsRegistry registry_;
  MetricsObserver observer_{registry_, {.version = "0.1.0", .commit = "abc"}};
};

InferenceOutcome Answered() {
  InferenceOutcome outcome;
  outcome.model = "demo";
  outcome.version = "1";
  outcome.duration = milliseconds(24);
  outcome.decode = milliseconds(1);
  outcome.encode = milliseconds(2);
  outcome.timing.tokenize = milliseconds(1);
  outcome.timing.queue = milliseconds(4);
  return outcome;
}

InferenceOutcome Refused(std::string_view model, std::string_view version, RefusalReason reason) {
  InferenceOutcome outcome;
  outcome.model = model;
  outcome.version = version;
  outcome.code = absl::StatusCode::kResourceExhausted;
  outcome.refusal = reason;
  return outcome;
}

engine::ExecutionReport Report() {
  engine::ExecutionReport report;
  report.tokens = 120;
  report.layer_scores = {{.computed = 100}, {.computed = 30, .reused = 70}, {.recomputed = 100}};
  report.multiply_adds = 700;
  report.multiply_adds_exact = 1000;
  report.stored_groups = 2;
  report.fused_groups = 1;
  report.arena_bytes = 4096;
  report.arena_peak_bytes = 2048;
  report.score_cache_capacity_bytes = 1000;
  report.score_cache_live_bytes = 300;
  report.score_cache_peak_bytes = 500;
  report.phase_ns[static_cast<int>(engine::Phase::kAttention)] = 2'000'000'000;
  return report;
}

BatchOutcome Batch(const engine::ExecutionReport* report) {
  return {.model = "demo",
          .version = "1",
          .requests = 1,
          .rows = 2,
          .tokens = 120,
          .closed = BatchCloseReason::kTokens,
          .form = milliseconds(1),
          .compute = milliseconds(500),
          .report = report};
}

TEST_F(MetricsObserverTest, EachFinishedRpcCountsOnceUnderItsMethodAndCode) {
  observer_.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});
  observer_.OnRpcFinished({.protocol = "grpc", .method = "ModelInfer"});
  observer_.OnRpcFinished(
      {.protocol = "grpc", .method = "ModelInfer", .code = absl::StatusCode::kInvalidArgument});
  const auto count = [&](const std::string& code) {
    return CounterValue(registry_, "reprise_requests_total",
                        {{"method", "ModelInfer"}, {"code", code}});
  };
  EXPECT_EQ(count("OK"), 2);
  EXPECT_EQ(count("INVALID_ARGUMENT"), 1);
  EXPECT_EQ(count("INTERNAL"), 0);
}

TEST_F(MetricsObserverTest, MethodsThatDoNotExistShareOneSeries) {
  for (const char* method : {"Nonsense", "/a.b/C"}) {
    observer_.OnRpcFinished(
        {.protocol = "grpc", .method = method, .code = absl::StatusCode::kUnimplemented});
  }
  EXPECT_EQ(CounterValue(registry_, "reprise_requests_total",
                         {{"method", "_unknown"}, {"code", "UNIMPLEMENTED"}}),
            2);
}

TEST_F(MetricsObserverTest, ACodeThatGrpcDoesNotKnowCountsAsUnknown) {
  observer_.OnRpcFinished(
      {.protocol = "grpc", .method = "Embed", .code = static_cast<absl::StatusCode>(99)});
  EXPECT_EQ(
      CounterValue(registry_, "reprise_requests_total", {{"method", "Embed"}, {"code", "UNKNOWN"}}),
      1);
}

TEST_F(MetricsObserverTest, AnAnsweredRequestIsTimedAsAWholeAndInPhases) {
  observer_.OnInferenceFinished(Answered());
  const HistogramValue request = HistogramOf(registry_, "reprise_request_duration_seconds", kDemo);
  EXPECT_EQ(request.count, 1);
  EXPECT_DOUBLE_EQ(request.sum, 0.024);
  EXPECT_DOUBLE_EQ(HistogramOf(registry_, "reprise_queue_duration_seconds", kDemo).sum, 0.004);
  const std::map<std::string, double> phases = {
      {"decode", 0.001}, {"tokenize", 0.001}, {"queue", 0.004}, {"encode", 0.002}};
  for (const auto& [phase, seconds] : phases) {
    const HistogramValue value =
        HistogramOf(registry_, "reprise_phase_duration_seconds", Demo("phase", phase));
    EXPECT_EQ(value.count, 1) << phase;
    EXPECT_DOUBLE_EQ(value.sum, seconds) << phase;
  }
}

TEST_F(MetricsObserverTest, AFailedRequestIsNotTimed) {
  InferenceOutcome outcome = Answered();
  outcome.code = absl::StatusCode::kInternal;
  observer_.OnInferenceFinished(outcome);
  EXPECT_EQ(HistogramOf(registry_, "reprise_request_duration_seconds", kDemo).count, 0);
}

TEST_F(MetricsObserverTest, RefusalsCountUnderTheirReason) {
  const std::map<RefusalReason, std::string> reasons = {
      {RefusalReason::kQueueRequests, "queue_requests"},
      {RefusalReason::kQueueRows, "queue_rows"},
      {RefusalReason::kQueueTokens, "queue_tokens"},
      {RefusalReason::kQueueBytes, "queue_bytes"},
      {RefusalReason::kQueueScoreBytes, "queue_score_bytes"},
      {RefusalReason::kDeadline, "deadline"},
      {RefusalReason::kQuota, "quota"},
      {RefusalReason::kDraining, "draining"},
      {RefusalReason::kTooLarge, "too_large"},
      {RefusalReason::kInvalid, "invalid"}};
  double expected = 0;
  for (const auto& [reason, label] : reasons) {
    ++expected;  // another count for each reason, so that no two can be confused
    for (int i = 0; i < expected; ++i) {
      observer_.OnInferenceFinished(Refused("demo", "1", reason));
    }
    EXPECT_EQ(CounterValue(registry_, "reprise_refused_total", Demo("reason", label)), expected);
  }
}

TEST_F(MetricsObserverTest, AMissedDeadlineHasNoSlack) {
  InferenceOutcome outcome = Answered();
  outcome.has_deadline = true;
  outcome.deadline_slack = milliseconds(76);
  observer_.OnInferenceFinished(outcome);
  outcome.deadline_slack = milliseconds(-10);
  outcome.code = absl::StatusCode::kDeadlineExceeded;
  observer_.OnInferenceFinished(outcome);
  const HistogramValue slack = HistogramOf(registry_, "reprise_deadline_slack_seconds", kDemo);
  EXPECT_EQ(slack.count, 2);
  EXPECT_DOUBLE_EQ(slack.sum, 0.076);
}

TEST_F(MetricsObserverTest, ABatchReportsItsSizeAndWhyItClosed) {
  observer_.OnBatchFinished(Batch(nullptr));
  EXPECT_EQ(HistogramOf(registry_, "reprise_batch_rows", kDemo).sum, 2);
  EXPECT_EQ(HistogramOf(registry_, "reprise_batch_tokens", kDemo).sum, 120);
  EXPECT_DOUBLE_EQ(
      HistogramOf(registry_, "reprise_phase_duration_seconds", Demo("phase", "compute")).sum, 0.5);
  EXPECT_DOUBLE_EQ(CounterValue(registry_, "reprise_executor_busy_seconds_total", kDemo), 0.5);
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", kDemo), 0);  // the engine failed
}

TEST_F(MetricsObserverTest, ABatchSaysHowLongThoseBehindItWillWait) {
  BatchOutcome outcome = Batch(nullptr);
  outcome.predicted_wait = std::chrono::milliseconds(750);
  observer_.OnBatchFinished(outcome);
  EXPECT_DOUBLE_EQ(GaugeValue(registry_, "reprise_predicted_wait_seconds", kDemo), 0.75);
}

TEST_F(MetricsObserverTest, EachCloseReasonHasItsSeries) {
  const std::map<BatchCloseReason, std::string> reasons = {
      {BatchCloseReason::kTokens, "tokens"},     {BatchCloseReason::kRows, "rows"},
      {BatchCloseReason::kScores, "scores"},     {BatchCloseReason::kDelay, "delay"},
      {BatchCloseReason::kDeadline, "deadline"}, {BatchCloseReason::kCost, "cost"},
      {BatchCloseReason::kIdle, "idle"},         {BatchCloseReason::kDrain, "drain"}};
  double expected = 0;
  for (const auto& [reason, label] : reasons) {
    ++expected;
    BatchOutcome outcome = Batch(nullptr);
    outcome.closed = reason;
    for (int i = 0; i < expected; ++i) observer_.OnBatchFinished(outcome);
    EXPECT_EQ(CounterValue(registry_, "reprise_batch_closed_total", Demo("reason", label)),
              expected);
  }
}

TEST_F(MetricsObserverTest, ScoresCountPerLayerAndSource) {
  const engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  observer_.OnBatchFinished(Batch(&report));
  const auto scores = [&](const std::string& layer, const std::string& source) {
    return CounterValue(
        registry_, "reprise_scores_total",
        {{"model", "demo"}, {"version", "1"}, {"layer", layer}, {"source", source}});
  };
  EXPECT_EQ(scores("0", "computed"), 200);
  EXPECT_EQ(scores("0", "reused"), 0);
  EXPECT_EQ(scores("1", "computed"), 60);
  EXPECT_EQ(scores("1", "reused"), 140);
  EXPECT_EQ(scores("2", "recomputed"), 200);
}

TEST_F(MetricsObserverTest, WorkAndStrategiesAddUpOverBatches) {
  const engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", Demo("kind", "real")), 240);
  EXPECT_EQ(CounterValue(registry_, "reprise_multiply_adds_total", Demo("kind", "computed")), 1400);
  EXPECT_EQ(CounterValue(registry_, "reprise_multiply_adds_total", Demo("kind", "avoided")), 600);
  EXPECT_EQ(CounterValue(registry_, "reprise_strategy_total", Demo("strategy", "stored")), 4);
  EXPECT_EQ(CounterValue(registry_, "reprise_strategy_total", Demo("strategy", "fused")), 2);
  EXPECT_DOUBLE_EQ(
      CounterValue(registry_, "reprise_engine_phase_seconds_total", Demo("phase", "attention")), 4);
}

TEST_F(MetricsObserverTest, PeaksStayWhenALaterBatchIsSmaller) {
  engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  report.score_cache_live_bytes = 10;
  report.score_cache_peak_bytes = 10;  // another executor, which has run little so far
  report.arena_peak_bytes = 10;
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(GaugeValue(registry_, "reprise_score_buffer_bytes", Demo("kind", "live")), 10);
  EXPECT_EQ(GaugeValue(registry_, "reprise_score_buffer_bytes", Demo("kind", "peak")), 500);
  EXPECT_EQ(GaugeValue(registry_, "reprise_score_buffer_bytes", Demo("kind", "capacity")), 1000);
  EXPECT_EQ(GaugeValue(registry_, "reprise_arena_bytes", Demo("state", "used")), 2048);
  EXPECT_EQ(GaugeValue(registry_, "reprise_arena_bytes", Demo("state", "capacity")), 4096);
}

TEST_F(MetricsObserverTest, StoredScoresCountAgainstTheMemorySaved) {
  const engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_saved_bytes", Demo("kind", "scores")), -500);
}

TEST_F(MetricsObserverTest, QueueDepthAndInflightShowTheLatestValue) {
  observer_.OnQueueDepth("demo", "1",
                         {.requests = 9, .rows = 9, .tokens = 9, .bytes = 9, .score_bytes = 9});
  observer_.OnQueueDepth("demo", "1",
                         {.requests = 1, .rows = 2, .tokens = 3, .bytes = 4, .score_bytes = 5});
  observer_.OnInflight("demo", "1", 11);
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_requests", kDemo), 1);
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_rows", kDemo), 2);
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_tokens", kDemo), 3);
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_bytes", kDemo), 4);
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_score_bytes", kDemo), 5);
  EXPECT_EQ(GaugeValue(registry_, "reprise_inflight_requests", kDemo), 11);
}

TEST_F(MetricsObserverTest, SequencesCountAtAdmission) {
  observer_.OnSequence("demo", "1", 100);
  observer_.OnSequence("demo", "1", 20);
  const HistogramValue sequences = HistogramOf(registry_, "reprise_sequence_tokens", kDemo);
  EXPECT_EQ(sequences.count, 2);
  EXPECT_EQ(sequences.sum, 120);
}

TEST_F(MetricsObserverTest, ModelReadyFollowsTheStateAndVanishesOnUnload) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 0);
  observer_.OnModelState("demo", "1", ModelState::kReady, "");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 1);
  observer_.OnModelState("demo", "1", ModelState::kUnavailable, "load failed");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 0);
  observer_.OnModelState("demo", "1", ModelState::kUnloading, "");
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo).has_value());
}

// Four layers of four heads, of which the second and third reuse all their scores.
ModelDescription ReuseModel() {
  const auto json = nlohmann::json::parse(R"({
    "num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 128,
    "vocab_size": 100, "max_position_embeddings": 64,
    "attention_reuse": {"heads": 4, "layers": 2}})");
  const auto config = engine::architectures::ParseBertConfig(json);
  EXPECT_TRUE(config.ok()) << config.status();
  const engine::weights::RandomSource source(engine::architectures::BertParameters(*config, {}), 1);
  auto model = engine::Model::Create(*config, source, {engine::Precision::kF32});
  EXPECT_TRUE(model.ok()) << model.status();
  ModelDescription description;
  description.name = "demo";
  description.version = "1";
  description.limits.max_queue_requests = 64;
  description.limits.max_queue_score_bytes = 1000;
  description.limits.executors = 2;
  description.model = *std::move(model);
  return description;
}

TEST_F(MetricsObserverTest, AReadyModelTellsItsLimitsAndWhatItIs) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1800));
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_limit_requests", kDemo), 64);
  EXPECT_EQ(GaugeValue(registry_, "reprise_queue_limit_score_bytes", kDemo), 1000);
  EXPECT_EQ(GaugeValue(registry_, "reprise_executors", kDemo), 2);
  EXPECT_DOUBLE_EQ(GaugeValue(registry_, "reprise_model_load_seconds", kDemo), 1.8);
  EXPECT_EQ(GaugeValue(registry_, "reprise_reuse_planned_ratio", kDemo), 0.5);
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_info",
                       {{"model", "demo"}, {"reuse_plan", "4x2"}, {"precision", "fp32"}}),
            1);
  for (const char* layer : {"0", "1", "2", "3"}) {
    EXPECT_EQ(CounterValue(registry_, "reprise_scores_total", Demo("layer", layer)), 0);
  }
}

TEST_F(MetricsObserverTest, SavedBytesAreThoseOfTheProjectionsThatReuseLeavesOut) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  // Query and key of two layers: 64 x 64 weights and 64 biases each, in fp32.
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_saved_bytes", Demo("kind", "parameters")),
            2 * 2 * (64 * 64 + 64) * 4);
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_saved_bytes", Demo("kind", "activations")), 0);
  engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  report.tokens = 10;  // a smaller batch does not lower the figure
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_saved_bytes", Demo("kind", "activations")),
            2 * 2 * 64 * 4 * 120);
}

TEST_F(MetricsObserverTest, NamesThatNoModelHasShareOneSetOfSeries) {
  const auto series_count = [&] {
    std::size_t count = 0;
    for (const auto& family : registry_.collectable()->Collect()) count += family.metric.size();
    return count;
  };
  const std::size_t before = series_count();
  for (int i = 0; i < 100; ++i) {
    const std::string name = "guess-" + std::to_string(i);
    observer_.OnInferenceFinished(Refused(name, "", RefusalReason::kInvalid));
  }
  EXPECT_EQ(series_count(), before);
  EXPECT_EQ(CounterValue(registry_, "reprise_refused_total",
                         {{"model", "_unknown"}, {"reason", "invalid"}}),
            100);
}

TEST_F(MetricsObserverTest, VersionsThatAKnownModelLacksShareTheEmptyVersion) {
  for (const char* version : {"7", "8", ""}) {
    observer_.OnInferenceFinished(Refused("demo", version, RefusalReason::kInvalid));
  }
  EXPECT_EQ(CounterValue(registry_, "reprise_refused_total",
                         {{"model", "demo"}, {"version", ""}, {"reason", "invalid"}}),
            3);
}

TEST_F(MetricsObserverTest, DrainingIsSetOnce) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_draining"), 0);
  observer_.OnDraining();
  EXPECT_EQ(GaugeValue(registry_, "reprise_draining"), 1);
}

TEST_F(MetricsObserverTest, BuildInfoNamesReleaseAndCommit) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_build_info", {{"version", "0.1.0"}, {"commit", "abc"}}),
            1);
}

TEST_F(MetricsObserverTest, EventsOfManyThreadsAreAllCounted) {
  const engine::ExecutionReport report = Report();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string other = "model-" + std::to_string(i);
      for (int n = 0; n < 200; ++n) {
        observer_.OnInferenceFinished(Answered());
        observer_.OnBatchFinished(Batch(&report));
        observer_.OnModelState(other, "1", ModelState::kReady, "");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(HistogramOf(registry_, "reprise_request_duration_seconds", kDemo).count, 800);
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", kDemo), 800 * 120);
}

}  // namespace
}  // namespace reprise::server::metrics
