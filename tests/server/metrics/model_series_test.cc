#include "server/metrics/model_series.h"

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/metrics/metric_catalogue.h"
#include "tests/server/metrics/metrics_fixture.h"

namespace reprise::server::metrics {
namespace {

using ModelSeriesTest = MetricsObserverTest;

TEST_F(ModelSeriesTest, ABatchReportsItsSizeAndWhyItClosed) {
  observer_.OnBatchFinished(Batch(nullptr));
  EXPECT_EQ(HistogramOf(registry_, "reprise_batch_rows", kDemo).sum, 2);
  EXPECT_EQ(HistogramOf(registry_, "reprise_batch_tokens", kDemo).sum, 120);
  EXPECT_DOUBLE_EQ(
      HistogramOf(registry_, "reprise_phase_duration_seconds", Demo("phase", "compute")).sum, 0.5);
  EXPECT_DOUBLE_EQ(CounterValue(registry_, "reprise_executor_busy_seconds_total", kDemo), 0.5);
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", kDemo), 0);  // the engine failed
}

TEST_F(ModelSeriesTest, ABatchSaysHowLongThoseBehindItWillWait) {
  BatchOutcome outcome = Batch(nullptr);
  outcome.predicted_wait = std::chrono::milliseconds(750);
  observer_.OnBatchFinished(outcome);
  EXPECT_DOUBLE_EQ(GaugeValue(registry_, "reprise_predicted_wait_seconds", kDemo), 0.75);
}

TEST_F(ModelSeriesTest, EachCloseReasonHasItsSeries) {
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

TEST_F(ModelSeriesTest, PaddingIsToldFromWork) {
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

TEST_F(ModelSeriesTest, AttentionFlopsAreTwoForEachMultiplyAdd) {
  engine::ExecutionReport report = Report();
  report.attention_multiply_adds = 30;
  report.attention_multiply_adds_exact = 40;
  observer_.OnBatchFinished(Batch(&report));
  const char* name = "reprise_attention_flops_total";
  EXPECT_EQ(CounterValue(registry_, name, Demo("kind", "computed")), 60);
  EXPECT_EQ(CounterValue(registry_, name, Demo("kind", "avoided")), 20);
}

TEST_F(ModelSeriesTest, ScoresCountPerLayerAndSource) {
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

TEST_F(ModelSeriesTest, WorkAndStrategiesAddUpOverBatches) {
  const engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(CounterValue(registry_, "reprise_tokens_total", Demo("kind", "real")), 240);
  EXPECT_EQ(CounterValue(registry_, "reprise_multiply_adds_total", Demo("kind", "computed")), 1400);
  EXPECT_EQ(CounterValue(registry_, "reprise_multiply_adds_total", Demo("kind", "avoided")), 600);
  EXPECT_EQ(CounterValue(registry_, "reprise_strategy_total", Demo("strategy", "stored")), 4);
  EXPECT_EQ(CounterValue(registry_, "reprise_strategy_total", Demo("strategy", "recompute")), 6);
  EXPECT_EQ(CounterValue(registry_, "reprise_strategy_total", Demo("strategy", "fused")), 2);
  EXPECT_DOUBLE_EQ(
      CounterValue(registry_, "reprise_engine_phase_seconds_total", Demo("phase", "attention")), 4);
}

TEST_F(ModelSeriesTest, PeaksStayWhenALaterBatchIsSmaller) {
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

TEST_F(ModelSeriesTest, StoredScoresCountAgainstTheMemorySaved) {
  const engine::ExecutionReport report = Report();
  observer_.OnBatchFinished(Batch(&report));
  EXPECT_EQ(GaugeValue(registry_, "reprise_memory_saved_bytes", Demo("kind", "scores")), -500);
}

TEST_F(ModelSeriesTest, QueueDepthAndInflightShowTheLatestValue) {
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

TEST_F(ModelSeriesTest, SequencesCountAtAdmission) {
  observer_.OnSequence("demo", "1", 100);
  observer_.OnSequence("demo", "1", 20);
  const HistogramValue sequences = HistogramOf(registry_, "reprise_sequence_tokens", kDemo);
  EXPECT_EQ(sequences.count, 2);
  EXPECT_EQ(sequences.sum, 120);
}

TEST_F(ModelSeriesTest, AReadyModelTellsItsLimitsAndWhatItIs) {
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

TEST_F(ModelSeriesTest, AReplacedVersionIsDescribedAnewAndAnUnloadedOneHasNoSeries) {
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

TEST_F(ModelSeriesTest, SavedBytesAreThoseOfTheProjectionsThatReuseLeavesOut) {
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

}  // namespace
}  // namespace reprise::server::metrics
