// An observer that has heard of one version that loads, and what tests report to it.
#pragma once

#include <chrono>
#include <string>

#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/model.h"
#include "engine/weights/random_source.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/metrics/metrics_observer.h"
#include "tests/server/metrics/scrape.h"

namespace reprise::server::metrics {

using std::chrono::milliseconds;

inline const LabelPairs kDemo = {{"model", "demo"}, {"version", "1"}};

inline LabelPairs Demo(const std::string& label, const std::string& value) {
  return {{"model", "demo"}, {"version", "1"}, {label, value}};
}

class MetricsObserverTest : public ::testing::Test {
 protected:
  MetricsObserverTest() { observer_.OnModelState("demo", "1", ModelState::kLoading, ""); }

  MetricsRegistry registry_;
  MetricsObserver observer_{registry_,
                            {.version = "0.1.0", .commit = "abc", .memory_limit_bytes = 4096}};
};

inline InferenceOutcome Answered() {
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

inline InferenceOutcome Refused(std::string_view model, std::string_view version,
                                RefusalReason reason) {
  InferenceOutcome outcome;
  outcome.model = model;
  outcome.version = version;
  outcome.code = absl::StatusCode::kResourceExhausted;
  outcome.refusal = reason;
  return outcome;
}

inline engine::ExecutionReport Report() {
  engine::ExecutionReport report;
  report.tokens = 120;
  report.layer_scores = {{.computed = 100}, {.computed = 30, .reused = 70}, {.recomputed = 100}};
  report.multiply_adds = 700;
  report.multiply_adds_exact = 1000;
  report.stored_groups = 2;
  report.recompute_groups = 3;
  report.fused_groups = 1;
  report.arena_bytes = 4096;
  report.arena_peak_bytes = 2048;
  report.score_cache_capacity_bytes = 1000;
  report.score_cache_live_bytes = 300;
  report.score_cache_peak_bytes = 500;
  report.phase_ns[static_cast<int>(engine::Phase::kAttention)] = 2'000'000'000;
  return report;
}

inline BatchOutcome Batch(const engine::ExecutionReport* report) {
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

// Four layers of four heads, of which the second and third reuse all their scores.
inline ModelDescription ReuseModel() {
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

}  // namespace reprise::server::metrics
