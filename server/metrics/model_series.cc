#include "server/metrics/model_series.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_cost.h"
#include "engine/check.h"
#include "engine/model.h"
#include "engine/reuse/cost_model.h"
#include "server/metrics/metric_catalogue.h"

namespace reprise::server::metrics {
namespace {

namespace reuse = engine::reuse;

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

void RaiseTo(prometheus::Gauge& gauge, std::int64_t value) {
  gauge.Set(std::max(gauge.Value(), static_cast<double>(value)));
}

// Bytes that reuse saves whatever runs, for `tokens` tokens of activations.
reuse::MemorySaved SavedBy(const engine::Model& model, std::int64_t tokens) {
  const int matrix_bytes = static_cast<int>(engine::SizeOf(engine::ElementType(model.precision())));
  const reuse::TransformerShape shape =
      engine::architectures::CostShape(model.config(), model.has_pooler(), model.num_labels());
  return reuse::Predict(shape, model.plan(), {.source = tokens},
                        {.weight_bytes = matrix_bytes, .activation_bytes = matrix_bytes})
      .memory_saved;
}

// Heads that take another layer's scores, of all heads that have scores.
double ReuseRatio(const reuse::ReusePlan& plan) {
  int heads = 0;
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    if (plan.has_attention(layer)) heads += plan.num_heads();
  }
  return heads == 0 ? 0 : static_cast<double>(plan.num_reused_heads()) / heads;
}

}  // namespace

LabelValues ModelSeries::With(std::string_view value) const {
  return {model_, version_, std::string(value)};
}

// One counter per value of the definition's last label, in the catalogue's order, which is that of
// the enum that indexes them (held so by the observer's tests).
template <std::size_t kCount>
std::array<prometheus::Counter*, kCount> ModelSeries::Counters(const MetricDefinition& definition) {
  const std::span<const std::string_view> values = definition.labels.back().values;
  REPRISE_CHECK(values.size() == kCount);
  std::array<prometheus::Counter*, kCount> counters;
  for (std::size_t i = 0; i < kCount; ++i) {
    counters[i] = &registry_.Counter(definition, With(values[i]));
  }
  return counters;
}

ModelSeries::ModelSeries(MetricsRegistry& registry, std::string model, std::string version)
    : registry_(registry),
      model_(std::move(model)),
      version_(std::move(version)),
      refused_(Counters<kNumRefusals>(catalogue::kRefusedTotal)),
      request_duration_(registry.Histogram(catalogue::kRequestDurationSeconds, {model_, version_})),
      queue_duration_(registry.Histogram(catalogue::kQueueDurationSeconds, {model_, version_})),
      deadline_slack_(registry.Histogram(catalogue::kDeadlineSlackSeconds, {model_, version_})),
      engine_phase_seconds_(Counters<engine::kNumPhases>(catalogue::kEnginePhaseSecondsTotal)),
      predicted_wait_(registry.Gauge(catalogue::kPredictedWaitSeconds, {model_, version_})),
      queue_{&registry.Gauge(catalogue::kQueueRequests, {model_, version_}),
             &registry.Gauge(catalogue::kQueueRows, {model_, version_}),
             &registry.Gauge(catalogue::kQueueTokens, {model_, version_}),
             &registry.Gauge(catalogue::kQueueBytes, {model_, version_}),
             &registry.Gauge(catalogue::kQueueScoreBytes, {model_, version_})},
      queue_limit_{&registry.Gauge(catalogue::kQueueLimitRequests, {model_, version_}),
                   &registry.Gauge(catalogue::kQueueLimitRows, {model_, version_}),
                   &registry.Gauge(catalogue::kQueueLimitTokens, {model_, version_}),
                   &registry.Gauge(catalogue::kQueueLimitBytes, {model_, version_}),
                   &registry.Gauge(catalogue::kQueueLimitScoreBytes, {model_, version_})},
      inflight_(registry.Gauge(catalogue::kInflightRequests, {model_, version_})),
      batch_rows_(registry.Histogram(catalogue::kBatchRows, {model_, version_})),
      batch_tokens_(registry.Histogram(catalogue::kBatchTokens, {model_, version_})),
      sequence_tokens_(registry.Histogram(catalogue::kSequenceTokens, {model_, version_})),
      batch_closed_(Counters<kNumCloseReasons>(catalogue::kBatchClosedTotal)),
      tokens_(registry.Counter(catalogue::kTokensTotal, With("real"))),
      strategy_stored_(registry.Counter(catalogue::kStrategyTotal, With("stored"))),
      strategy_fused_(registry.Counter(catalogue::kStrategyTotal, With("fused"))),
      multiply_adds_computed_(registry.Counter(catalogue::kMultiplyAddsTotal, With("computed"))),
      multiply_adds_avoided_(registry.Counter(catalogue::kMultiplyAddsTotal, With("avoided"))),
      busy_seconds_(registry.Counter(catalogue::kExecutorBusySecondsTotal, With("cpu"))),
      score_buffer_live_(registry.Gauge(catalogue::kScoreBufferBytes, With("live"))),
      score_buffer_peak_(registry.Gauge(catalogue::kScoreBufferBytes, With("peak"))),
      score_buffer_capacity_(registry.Gauge(catalogue::kScoreBufferBytes, With("capacity"))),
      saved_parameters_(registry.Gauge(catalogue::kMemorySavedBytes, With("parameters"))),
      saved_activations_(registry.Gauge(catalogue::kMemorySavedBytes, With("activations"))),
      saved_scores_(registry.Gauge(catalogue::kMemorySavedBytes, With("scores"))),
      arena_used_(registry.Gauge(catalogue::kArenaBytes, {model_, version_, "cpu", "used"})),
      arena_capacity_(
          registry.Gauge(catalogue::kArenaBytes, {model_, version_, "cpu", "capacity"})) {
  const std::span<const std::string_view> phases =
      catalogue::kPhaseDurationSeconds.labels.back().values;
  REPRISE_CHECK(phases.size() == kNumPhases);
  for (int phase = 0; phase < kNumPhases; ++phase) {
    phase_duration_[phase] =
        &registry_.Histogram(catalogue::kPhaseDurationSeconds, With(phases[phase]));
  }
}

void ModelSeries::Inference(const InferenceOutcome& outcome) {
  if (outcome.refusal != RefusalReason::kNone) {
    refused_[static_cast<std::size_t>(outcome.refusal) - 1]->Increment();
  }
  if (outcome.has_deadline) {
    deadline_slack_.Observe(std::max(0.0, Seconds(outcome.deadline_slack)));
  }
  if (outcome.code != absl::StatusCode::kOk) return;
  request_duration_.Observe(Seconds(outcome.duration));
  queue_duration_.Observe(Seconds(outcome.timing.queue));
  phase_duration_[kDecode]->Observe(Seconds(outcome.decode));
  phase_duration_[kTokenize]->Observe(Seconds(outcome.timing.tokenize));
  phase_duration_[kQueue]->Observe(Seconds(outcome.timing.queue));
  phase_duration_[kEncode]->Observe(Seconds(outcome.encode));
}

void ModelSeries::Batch(const BatchOutcome& outcome) {
  batch_rows_.Observe(static_cast<double>(outcome.rows));
  batch_tokens_.Observe(static_cast<double>(outcome.tokens));
  batch_closed_[static_cast<std::size_t>(outcome.closed)]->Increment();
  phase_duration_[kForm]->Observe(Seconds(outcome.form));
  phase_duration_[kCompute]->Observe(Seconds(outcome.compute));
  predicted_wait_.Set(Seconds(outcome.predicted_wait));
  busy_seconds_.Increment(Seconds(outcome.compute));
  if (outcome.report != nullptr) Report(*outcome.report);
}

void ModelSeries::Report(const engine::ExecutionReport& report) {
  tokens_.Increment(static_cast<double>(report.tokens));
  strategy_stored_.Increment(static_cast<double>(report.stored_groups));
  strategy_fused_.Increment(static_cast<double>(report.fused_groups));
  multiply_adds_computed_.Increment(static_cast<double>(report.multiply_adds));
  multiply_adds_avoided_.Increment(static_cast<double>(
      std::max<std::int64_t>(0, report.multiply_adds_exact - report.multiply_adds)));
  for (int phase = 0; phase < engine::kNumPhases; ++phase) {
    engine_phase_seconds_[phase]->Increment(1e-9 * static_cast<double>(report.phase_ns[phase]));
  }
  score_buffer_live_.Set(static_cast<double>(report.score_cache_live_bytes));
  score_buffer_capacity_.Set(static_cast<double>(report.score_cache_capacity_bytes));
  arena_capacity_.Set(static_cast<double>(report.arena_bytes));

  const MutexLock lock(mutex_);  // several executors report; the rest below keeps the highest
  RaiseTo(score_buffer_peak_, report.score_cache_peak_bytes);
  RaiseTo(arena_used_, report.arena_peak_bytes);
  RaiseTo(saved_activations_, static_cast<std::int64_t>(activation_bytes_saved_per_token_ *
                                                        static_cast<double>(report.tokens)));
  saved_scores_.Set(-score_buffer_peak_.Value());
  AddLayers(report.layer_scores.size());
  for (std::size_t layer = 0; layer < report.layer_scores.size(); ++layer) {
    const engine::ScoreCounts& counts = report.layer_scores[layer];
    layers_[layer].computed->Increment(static_cast<double>(counts.computed));
    layers_[layer].reused->Increment(static_cast<double>(counts.reused));
    layers_[layer].recomputed->Increment(static_cast<double>(counts.recomputed));
  }
}

void ModelSeries::AddLayers(std::size_t count) {
  while (layers_.size() < count) {
    const auto series = [&](const char* source) {
      return &registry_.Counter(catalogue::kScoresTotal,
                                {model_, version_, absl::StrCat(layers_.size()), source});
    };
    layers_.push_back({series("computed"), series("reused"), series("recomputed")});
  }
}

void ModelSeries::Sequence(std::int64_t tokens) {
  sequence_tokens_.Observe(static_cast<double>(tokens));
}

void ModelSeries::Queue(const QueueDepth& depth) {
  const std::int64_t values[] = {depth.requests, depth.rows, depth.tokens, depth.bytes,
                                 depth.score_bytes};
  for (int i = 0; i < kNumQueueMeasures; ++i) queue_[i]->Set(static_cast<double>(values[i]));
}

void ModelSeries::Inflight(std::int64_t requests) { inflight_.Set(static_cast<double>(requests)); }

void ModelSeries::State(ModelState state) {
  const MutexLock lock(mutex_);
  if (state == ModelState::kUnloading) {
    if (ready_ != nullptr) registry_.Remove(catalogue::kModelReady, ready_);
    ready_ = nullptr;
    return;
  }
  if (ready_ == nullptr) ready_ = &registry_.Gauge(catalogue::kModelReady, {model_, version_});
  ready_->Set(state == ModelState::kReady ? 1 : 0);
}

void ModelSeries::Ready(const ModelDescription& description, std::chrono::nanoseconds load_time) {
  const ModelLimits& limits = description.limits;
  const std::int64_t queue_limits[] = {limits.max_queue_requests, limits.max_queue_rows,
                                       limits.max_queue_tokens, limits.max_queue_bytes,
                                       limits.max_queue_score_bytes};
  for (int i = 0; i < kNumQueueMeasures; ++i) {
    queue_limit_[i]->Set(static_cast<double>(queue_limits[i]));
  }
  registry_.Gauge(catalogue::kExecutors, With(description.device)).Set(limits.executors);
  registry_.Gauge(catalogue::kModelLoadSeconds, {model_, version_}).Set(Seconds(load_time));

  const engine::Model& model = *description.model;
  registry_.Gauge(catalogue::kReusePlannedRatio, {model_, version_}).Set(ReuseRatio(model.plan()));
  registry_
      .Gauge(catalogue::kModelInfo,
             {model_, version_, model.plan().name(), std::string(engine::Name(model.precision())),
              description.device, description.strategy})
      .Set(1);
  saved_parameters_.Set(static_cast<double>(SavedBy(model, 0).parameters));

  const MutexLock lock(mutex_);
  activation_bytes_saved_per_token_ = static_cast<double>(SavedBy(model, 1).activations);
  AddLayers(static_cast<std::size_t>(model.config().num_layers));
}

}  // namespace reprise::server::metrics
