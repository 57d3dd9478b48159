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

double Avoided(std::int64_t exact, std::int64_t computed) {
  return static_cast<double>(std::max<std::int64_t>(0, exact - computed));
}

// `part` of itself and `rest` together.
double Share(double part, double rest) { return part == 0 ? 0 : part / (part + rest); }

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
    counters[i] = &series_.Counter(definition, With(values[i]));
  }
  return counters;
}

ModelSeries::ModelSeries(MetricsRegistry& registry, std::string model, std::string version)
    : series_(registry),
      model_(std::move(model)),
      version_(std::move(version)),
      outcomes_(registry, model_, version_),
      request_duration_(series_.Histogram(catalogue::kRequestDurationSeconds, {model_, version_})),
      queue_duration_(series_.Histogram(catalogue::kQueueDurationSeconds, {model_, version_})),
      deadline_slack_(series_.Histogram(catalogue::kDeadlineSlackSeconds, {model_, version_})),
      engine_phase_seconds_(Counters<engine::kNumPhases>(catalogue::kEnginePhaseSecondsTotal)),
      predicted_wait_(series_.Gauge(catalogue::kPredictedWaitSeconds, {model_, version_})),
      queue_{&series_.Gauge(catalogue::kQueueRequests, {model_, version_}),
             &series_.Gauge(catalogue::kQueueRows, {model_, version_}),
             &series_.Gauge(catalogue::kQueueTokens, {model_, version_}),
             &series_.Gauge(catalogue::kQueueBytes, {model_, version_}),
             &series_.Gauge(catalogue::kQueueScoreBytes, {model_, version_})},
      queue_limit_{&series_.Gauge(catalogue::kQueueLimitRequests, {model_, version_}),
                   &series_.Gauge(catalogue::kQueueLimitRows, {model_, version_}),
                   &series_.Gauge(catalogue::kQueueLimitTokens, {model_, version_}),
                   &series_.Gauge(catalogue::kQueueLimitBytes, {model_, version_}),
                   &series_.Gauge(catalogue::kQueueLimitScoreBytes, {model_, version_})},
      inflight_(series_.Gauge(catalogue::kInflightRequests, {model_, version_})),
      batch_rows_(series_.Histogram(catalogue::kBatchRows, {model_, version_})),
      batch_tokens_(series_.Histogram(catalogue::kBatchTokens, {model_, version_})),
      sequence_tokens_(series_.Histogram(catalogue::kSequenceTokens, {model_, version_})),
      batch_closed_(Counters<kNumCloseReasons>(catalogue::kBatchClosedTotal)),
      tokens_(Counters<kNumWorkKinds>(catalogue::kTokensTotal)),
      score_cells_(Counters<kNumWorkKinds>(catalogue::kScoreCellsTotal)),
      batch_score_entries_(series_.Histogram(catalogue::kBatchScoreEntries, {model_, version_})),
      batch_token_padding_(series_.Histogram(catalogue::kBatchPaddingRatio, With("tokens"))),
      batch_score_padding_(series_.Histogram(catalogue::kBatchPaddingRatio, With("scores"))),
      strategy_stored_(series_.Counter(catalogue::kStrategyTotal, With("stored"))),
      strategy_recompute_(series_.Counter(catalogue::kStrategyTotal, With("recompute"))),
      strategy_fused_(series_.Counter(catalogue::kStrategyTotal, With("fused"))),
      multiply_adds_computed_(series_.Counter(catalogue::kMultiplyAddsTotal, With("computed"))),
      multiply_adds_avoided_(series_.Counter(catalogue::kMultiplyAddsTotal, With("avoided"))),
      attention_flops_computed_(series_.Counter(catalogue::kAttentionFlopsTotal, With("computed"))),
      attention_flops_avoided_(series_.Counter(catalogue::kAttentionFlopsTotal, With("avoided"))),
      batch_start_(Counters<3>(catalogue::kBatchStartTotal)),
      golden_mismatches_(series_.Counter(catalogue::kGoldenMismatchTotal, {model_, version_})),
      score_buffer_live_(series_.Gauge(catalogue::kScoreBufferBytes, With("live"))),
      score_buffer_peak_(series_.Gauge(catalogue::kScoreBufferBytes, With("peak"))),
      score_buffer_capacity_(series_.Gauge(catalogue::kScoreBufferBytes, With("capacity"))),
      saved_parameters_(series_.Gauge(catalogue::kMemorySavedBytes, With("parameters"))),
      saved_activations_(series_.Gauge(catalogue::kMemorySavedBytes, With("activations"))),
      saved_scores_(series_.Gauge(catalogue::kMemorySavedBytes, With("scores"))) {
  const std::span<const std::string_view> phases =
      catalogue::kPhaseDurationSeconds.labels.back().values;
  REPRISE_CHECK(phases.size() == kNumPhases);
  for (int phase = 0; phase < kNumPhases; ++phase) {
    phase_duration_[phase] =
        &series_.Histogram(catalogue::kPhaseDurationSeconds, With(phases[phase]));
  }
}

void ModelSeries::Inference(const InferenceOutcome& outcome) {
  outcomes_.Count(outcome);
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
  OnDevice().busy_seconds->Increment(Seconds(outcome.compute));
  if (outcome.report != nullptr) Report(*outcome.report);
}

ModelSeries::DeviceSeries ModelSeries::OnDevice() {
  const MutexLock lock(mutex_);
  if (on_device_.busy_seconds == nullptr) AddDeviceSeries("cpu");
  return on_device_;
}

void ModelSeries::AddDeviceSeries(const std::string& device) {
  on_device_ = {&series_.Counter(catalogue::kExecutorBusySecondsTotal, With(device)),
                &series_.Gauge(catalogue::kArenaBytes, {model_, version_, device, "used"}),
                &series_.Gauge(catalogue::kArenaBytes, {model_, version_, device, "capacity"})};
}

void ModelSeries::Report(const engine::ExecutionReport& report) {
  CountWork(report);
  strategy_stored_.Increment(static_cast<double>(report.stored_groups));
  strategy_recompute_.Increment(static_cast<double>(report.recompute_groups));
  strategy_fused_.Increment(static_cast<double>(report.fused_groups));
  multiply_adds_computed_.Increment(static_cast<double>(report.multiply_adds));
  multiply_adds_avoided_.Increment(Avoided(report.multiply_adds_exact, report.multiply_adds));
  constexpr double kFlopsPerMultiplyAdd = 2;
  attention_flops_computed_.Increment(kFlopsPerMultiplyAdd *
                                      static_cast<double>(report.attention_multiply_adds));
  attention_flops_avoided_.Increment(
      kFlopsPerMultiplyAdd *
      Avoided(report.attention_multiply_adds_exact, report.attention_multiply_adds));
  for (int phase = 0; phase < engine::kNumPhases; ++phase) {
    engine_phase_seconds_[phase]->Increment(1e-9 * static_cast<double>(report.phase_ns[phase]));
  }
  score_buffer_live_.Set(static_cast<double>(report.score_cache_live_bytes));
  score_buffer_capacity_.Set(static_cast<double>(report.score_cache_capacity_bytes));
  const std::int64_t starts[] = {report.graph_replays, report.graph_captures, report.direct_runs};
  for (std::size_t i = 0; i < batch_start_.size(); ++i) {
    batch_start_[i]->Increment(static_cast<double>(starts[i]));
  }
  const DeviceSeries on_device = OnDevice();
  on_device.arena_capacity->Set(static_cast<double>(report.arena_bytes));

  const MutexLock lock(mutex_);  // several executors report; the rest below keeps the highest
  RaiseTo(score_buffer_peak_, report.score_cache_peak_bytes);
  RaiseTo(*on_device.arena_used, report.arena_peak_bytes);
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

// What ran, told apart from what ran beside it.
void ModelSeries::CountWork(const engine::ExecutionReport& report) {
  double entries = 0;
  double calculated = 0;
  double score_padding = 0;
  for (const engine::ScoreCounts& counts : report.layer_scores) {
    calculated += static_cast<double>(counts.computed + counts.recomputed);
    entries += static_cast<double>(counts.computed + counts.recomputed + counts.reused);
    score_padding += static_cast<double>(counts.padding);
  }
  const auto tokens = static_cast<double>(report.tokens);
  const double token_padding = report.layer_scores.empty()
                                   ? 0
                                   : static_cast<double>(report.padding_rows) /
                                         static_cast<double>(report.layer_scores.size());
  tokens_[kReal]->Increment(tokens);
  tokens_[kPadding]->Increment(token_padding);
  score_cells_[kReal]->Increment(calculated);
  score_cells_[kPadding]->Increment(score_padding);
  batch_score_entries_.Observe(entries);
  batch_token_padding_.Observe(Share(token_padding, tokens));
  batch_score_padding_.Observe(Share(score_padding, calculated));
}

void ModelSeries::AddLayers(std::size_t count) {
  while (layers_.size() < count) {
    const auto series = [&](const char* source) {
      return &series_.Counter(catalogue::kScoresTotal,
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

void ModelSeries::GoldenMismatch() { golden_mismatches_.Increment(); }

void ModelSeries::Inflight(std::int64_t requests) { inflight_.Set(static_cast<double>(requests)); }

void ModelSeries::State(ModelState state) {
  const MutexLock lock(mutex_);
  if (state == ModelState::kUnloading) {
    if (ready_ != nullptr) series_.Remove(catalogue::kModelReady, ready_);
    ready_ = nullptr;
    return;
  }
  if (state == ModelState::kUnavailable && ready_ == nullptr) return;  // unloaded on purpose
  if (ready_ == nullptr) ready_ = &series_.Gauge(catalogue::kModelReady, {model_, version_});
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
  series_.Gauge(catalogue::kExecutors, With(description.device)).Set(limits.executors);
  series_.Gauge(catalogue::kModelLoadSeconds, {model_, version_}).Set(Seconds(load_time));

  const engine::Model& model = *description.model;
  series_.Gauge(catalogue::kReusePlannedRatio, {model_, version_}).Set(ReuseRatio(model.plan()));
  saved_parameters_.Set(static_cast<double>(SavedBy(model, 0).parameters));

  const MutexLock lock(mutex_);
  AddDeviceSeries(description.device);
  // A version that was loaded anew may have another plan.
  if (info_ != nullptr) series_.Remove(catalogue::kModelInfo, info_);
  info_ = &series_.Gauge(catalogue::kModelInfo, {model_, version_, model.plan().name(),
                                                 std::string(engine::Name(model.precision())),
                                                 description.device, description.strategy});
  info_->Set(1);
  activation_bytes_saved_per_token_ = static_cast<double>(SavedBy(model, 1).activations);
  AddLayers(static_cast<std::size_t>(model.config().num_layers));
}

}  // namespace reprise::server::metrics
