#include "server/metrics/metrics_observer.h"

#include <chrono>
#include <map>
#include <set>
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
  MetricsObserver observer_{registry_,
                            {.version = "0.1.0", .commit = "abc", .memory_limit_bytes = 4096}};
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
                        {{"protocol", "grpc"}, {"method", "ModelInfer"}, {"code", code}});
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
  observer_.OnRpcFinished(
      {.protocol = "http", .method = "/x", .code = absl::StatusCode::kUnimplemented});
  const auto count = [&](const std::string& protocol) {
    return CounterValue(
        registry_, "reprise_requests_total",
        {{"protocol", protocol}, {"method", "_unknown"}, {"code", "UNIMPLEMENTED"}});
  };
  EXPECT_EQ(count("grpc"), 2);
  EXPECT_EQ(count("http"), 1);
}

TEST_F(MetricsObserverTest, ACodeThatGrpcDoesNotKnowCountsAsUnknown) {
  observer_.OnRpcFinished(
      {.protocol = "grpc", .method = "Embed", .code = static_cast<absl::StatusCode>(99)});
  EXPECT_EQ(CounterValue(registry_, "reprise_requests_total",
                         {{"protocol", "grpc"}, {"method", "Embed"}, {"code", "UNKNOWN"}}),
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

TEST_F(MetricsObserverTest, PaddingIsToldFromWork) {
  engine::ExecutionReport report = Report();  // 3 layers, 120 tokens
  report.padding_rows = 3 * 8;
  report.layer_scores = {{.computed = 100, .padding = 60},
                         {.computed = 30, .reused = 70, .padding = 20},
                         {.recomputed = 100, .padding = 70}};
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", Demo("kind", "real")), 120);
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", Demo("kind", "padding")), 8);
  EXPECT_EQ(CounterValue(registry_, "reprise_score_cells_total", Demo("kind", "real")), 230);
  EXPECT_EQ(CounterValue(registry_, "reprise_score_cells_total", Demo("kind", "padding")), 150);
  EXPECT_EQ(HistogramOf(registry_, "reprise_batch_score_entries", kDemo).sum, 300);
  EXPECT_DOUBLE_EQ(HistogramOf(registry_, "reprise_batch_padding_ratio", Demo("of", "tokens")).sum,
                   8.0 / 128);
  EXPECT_DOUBLE_EQ(HistogramOf(registry_, "reprise_batch_padding_ratio", Demo("of", "scores")).sum,
                   150.0 / 380);
}

TEST_F(MetricsObserverTest, AttentionFlopsAreTwoForEachMultiplyAdd) {
  engine::ExecutionReport report = Report();
  report.attention_multiply_adds = 30;
  report.attention_multiply_adds_exact = 40;
  observer_.OnBatchFinished(Batch(&report));
  const char* name = "reprise_attention_flops_total";
  EXPECT_EQ(CounterValue(registry_, name, Demo("kind", "computed")), 60);
  EXPECT_EQ(CounterValue(registry_, name, Demo("kind", "avoided")), 20);
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
  observer_.OnModelState("demo", "1", ModelState::kUnavailable, kUnloaded);
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo).has_value());
  observer_.OnModelState("demo", "1", ModelState::kLoading, "loading");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 0);
}

TEST_F(MetricsObserverTest, AVersionThatServesOnAfterAFailedLoadStaysReady) {
  observer_.OnModelState("demo", "1", ModelState::kReady, "a later load failed");
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_ready", kDemo), 1);
}

TEST_F(MetricsObserverTest, GoldenMismatchesAreCountedByVersion) {
  EXPECT_EQ(CounterValue(registry_, "reprise_golden_mismatch_total", kDemo), 0);
  observer_.OnGoldenMismatch("demo", "1");
  EXPECT_EQ(CounterValue(registry_, "reprise_golden_mismatch_total", kDemo), 1);
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

TEST_F(MetricsObserverTest, AReplacedVersionIsDescribedAnewAndAnUnloadedOneHasNoSeries) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  ModelDescription other = ReuseModel();
  other.strategy = "fused";
  observer_.OnModelReady(other, milliseconds(1));
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_info", Demo("strategy", "auto")).has_value());
  EXPECT_EQ(GaugeValue(registry_, "reprise_model_info", Demo("strategy", "fused")), 1);

  observer_.OnModelState("demo", "1", ModelState::kUnloading, "unloading");
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo).has_value());
  observer_.OnModelState("demo", "1", ModelState::kUnavailable, kUnloaded);
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo).has_value());
  observer_.OnModelUnloaded("demo", "1");
  for (const char* name : {"reprise_model_info", "reprise_executors", "reprise_arena_bytes"}) {
    EXPECT_FALSE(FindSeries(registry_, name, kDemo).has_value()) << name;
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

std::size_t SeriesCount(const MetricsRegistry& registry) {
  std::size_t count = 0;
  for (const auto& family : registry.collectable()->Collect()) count += family.metric.size();
  return count;
}

// The names of the families that have a series with these two labels.
std::set<std::string> FamiliesOf(const MetricsRegistry& registry, const std::string& model,
                                 const std::string& version) {
  std::set<std::string> names;
  for (const auto& family : registry.collectable()->Collect()) {
    if (FindSeries(registry, family.name, {{"model", model}, {"version", version}})) {
      names.insert(family.name);
    }
  }
  return names;
}

const std::set<std::string> kOutcomes = {"reprise_inferences_total", "reprise_refused_total"};

TEST_F(MetricsObserverTest, InferencesCountByCode) {
  observer_.OnInferenceFinished(Answered());
  observer_.OnInferenceFinished(Refused("demo", "1", RefusalReason::kQueueRows));
  InferenceOutcome odd = Answered();
  odd.code = static_cast<absl::StatusCode>(99);
  observer_.OnInferenceFinished(odd);
  const auto count = [&](const std::string& code) {
    return CounterValue(registry_, "reprise_inferences_total", Demo("code", code));
  };
  EXPECT_EQ(count("OK"), 1);
  EXPECT_EQ(count("RESOURCE_EXHAUSTED"), 1);
  EXPECT_EQ(count("UNKNOWN"), 1);
  EXPECT_EQ(count("CANCELLED"), 0);
}

TEST_F(MetricsObserverTest, NamesThatNoModelHasShareSeriesOfOutcomesAlone) {
  const std::size_t before = SeriesCount(registry_);
  for (int i = 0; i < 100; ++i) {
    const std::string name = "guess-" + std::to_string(i);
    observer_.OnInferenceFinished(Refused(name, "", RefusalReason::kInvalid));
    observer_.OnQueueDepth(name, "1", {.requests = 1});
  }
  EXPECT_EQ(SeriesCount(registry_), before);
  EXPECT_EQ(CounterValue(registry_, "reprise_refused_total",
                         {{"model", "_unknown"}, {"reason", "invalid"}}),
            100);
  EXPECT_EQ(CounterValue(registry_, "reprise_inferences_total",
                         {{"model", "_unknown"}, {"code", "RESOURCE_EXHAUSTED"}}),
            100);
  EXPECT_EQ(FamiliesOf(registry_, "_unknown", ""), kOutcomes);
}

TEST_F(MetricsObserverTest, VersionsThatAKnownModelLacksShareSeriesOfOutcomesAlone) {
  EXPECT_EQ(FamiliesOf(registry_, "demo", ""), kOutcomes) << "they start at zero";
  const std::size_t before = SeriesCount(registry_);
  for (const char* version : {"7", "8", ""}) {
    observer_.OnInferenceFinished(Refused("demo", version, RefusalReason::kInvalid));
  }
  EXPECT_EQ(CounterValue(registry_, "reprise_refused_total",
                         {{"model", "demo"}, {"version", ""}, {"reason", "invalid"}}),
            3);
  EXPECT_EQ(SeriesCount(registry_), before);
}

TEST_F(MetricsObserverTest, AVersionsSeriesEndWhenItIsUnloaded) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  observer_.OnInferenceFinished(Answered());
  observer_.OnModelState("demo", "2", ModelState::kReady, "");
  observer_.OnModelState("demo", "1", ModelState::kUnloading, "");
  EXPECT_FALSE(FindSeries(registry_, "reprise_model_ready", kDemo));
  EXPECT_TRUE(FindSeries(registry_, "reprise_batch_rows", kDemo)) << "it still answers";
  observer_.OnModelUnloaded("demo", "1");
  EXPECT_EQ(FamiliesOf(registry_, "demo", "1"), std::set<std::string>{});
  EXPECT_FALSE(FamiliesOf(registry_, "demo", "2").empty());
  observer_.OnInferenceFinished(Answered());  // a straggler
  EXPECT_EQ(FamiliesOf(registry_, "demo", "1"), std::set<std::string>{});
  EXPECT_EQ(CounterValue(registry_, "reprise_inferences_total",
                         {{"model", "demo"}, {"version", ""}, {"code", "OK"}}),
            1);
  observer_.OnModelState("demo", "1", ModelState::kLoading, "");
  EXPECT_EQ(CounterValue(registry_, "reprise_inferences_total", Demo("code", "OK")), 0);
}

TEST_F(MetricsObserverTest, LoadingAndUnloadingForEverAddsNoSeries) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  const std::size_t before = SeriesCount(registry_);
  for (int version = 2; version < 30; ++version) {
    observer_.OnModelState("demo", std::to_string(version), ModelState::kReady, "");
    observer_.OnModelState("demo", std::to_string(version), ModelState::kUnloading, "");
    observer_.OnModelUnloaded("demo", std::to_string(version));
    observer_.OnModelReady(ReuseModel(), milliseconds(1));  // version 1, loaded anew
  }
  EXPECT_EQ(SeriesCount(registry_), before);
}

TEST_F(MetricsObserverTest, AModelOfTwelveLayersHasFewerThan2000Lines) {
  observer_.OnModelReady(ReuseModel(), milliseconds(1));
  engine::ExecutionReport report = Report();
  report.layer_scores.resize(12);
  observer_.OnBatchFinished(Batch(&report));
  std::size_t lines = 0;
  for (const auto& family : registry_.collectable()->Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      for (const auto& label : metric.label) {
        if (label.name != "model" || label.value != "demo") continue;
        const bool histogram = family.type == prometheus::MetricType::Histogram;
        lines += histogram ? metric.histogram.bucket.size() + 2 : 1;
      }
    }
  }
  EXPECT_GT(lines, 100u);
  EXPECT_LT(lines, 2000u);
}

TEST_F(MetricsObserverTest, LoadsGivenUpForAnswersThatDifferAreCounted) {
  observer_.OnGoldenMismatch("demo", "1");
  EXPECT_EQ(CounterValue(registry_, "reprise_golden_mismatch_total", kDemo), 1);
}

TEST_F(MetricsObserverTest, SpansCountByTheirFate) {
  const std::map<SpanFate, std::string> fates = {{SpanFate::kWritten, "written"},
                                                 {SpanFate::kQueueFull, "queue_full"},
                                                 {SpanFate::kWriteFailed, "write_failed"}};
  std::int64_t expected = 0;
  for (const auto& [fate, label] : fates) {
    observer_.OnSpans(fate, ++expected, "");
    EXPECT_EQ(CounterValue(registry_, "reprise_trace_spans_total", {{"fate", label}}), expected);
  }
}

TEST_F(MetricsObserverTest, TellsWhenTheCertificateExpires) {
  for (const int seconds : {1'800'000'000, 1'900'000'000}) {
    observer_.OnCertificate(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
    EXPECT_EQ(GaugeValue(registry_, "reprise_tls_certificate_expiry_timestamp_seconds"), seconds);
  }
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

TEST_F(MetricsObserverTest, TheMemoryLimitIsToldFromTheStart) {
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_limit_bytes"), 4096);
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
        observer_.OnInflight(other, "1", n);
        if (n % 20 == 0) observer_.OnModelUnloaded(other, "1");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(HistogramOf(registry_, "reprise_request_duration_seconds", kDemo).count, 800);
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", Demo("kind", "real")), 800 * 120);
}

}  // namespace
}  // namespace reprise::server::metrics
