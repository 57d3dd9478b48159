// The series of one model version, with references kept so that recording looks nothing up.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/metrics/outcome_series.h"
#include "server/metrics/series_set.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::metrics {

// Thread-safe. `registry` must outlive it. Every series whose label values are known at
// construction exists, at zero, from then on; those of layers from Ready. All end with this.
class ModelSeries {
 public:
  ModelSeries(MetricsRegistry& registry, std::string model, std::string version);
  ModelSeries(const ModelSeries&) = delete;
  ModelSeries& operator=(const ModelSeries&) = delete;

  void Inference(const InferenceOutcome& outcome);
  void Batch(const BatchOutcome& outcome);
  void Sequence(std::int64_t tokens);
  void Queue(const QueueDepth& depth);
  void Inflight(std::int64_t requests);
  void State(ModelState state);
  void Ready(const ModelDescription& description, std::chrono::nanoseconds load_time);
  void GoldenMismatch();

 private:
  enum Phase { kDecode, kTokenize, kQueue, kForm, kCompute, kEncode, kNumPhases };
  enum WorkKind { kReal, kPadding, kNumWorkKinds };
  static constexpr int kNumCloseReasons = 8;   // BatchCloseReason
  static constexpr int kNumQueueMeasures = 5;  // fields of QueueDepth

  LabelValues With(std::string_view value) const;
  template <std::size_t kCount>
  std::array<prometheus::Counter*, kCount> Counters(const MetricDefinition& definition);
  void Report(const engine::ExecutionReport& report) ABSL_LOCKS_EXCLUDED(mutex_);
  void CountWork(const engine::ExecutionReport& report);
  void AddLayers(std::size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SeriesSet series_;
  const std::string model_;
  const std::string version_;

  // Constant after construction; the metrics themselves synchronise.
  OutcomeSeries outcomes_;
  prometheus::Histogram& request_duration_;
  prometheus::Histogram& queue_duration_;
  prometheus::Histogram& deadline_slack_;
  std::array<prometheus::Histogram*, kNumPhases> phase_duration_;
  std::array<prometheus::Counter*, engine::kNumPhases> engine_phase_seconds_;
  prometheus::Gauge& predicted_wait_;
  std::array<prometheus::Gauge*, kNumQueueMeasures> queue_;
  std::array<prometheus::Gauge*, kNumQueueMeasures> queue_limit_;
  prometheus::Gauge& inflight_;
  prometheus::Histogram& batch_rows_;
  prometheus::Histogram& batch_tokens_;
  prometheus::Histogram& sequence_tokens_;
  std::array<prometheus::Counter*, kNumCloseReasons> batch_closed_;
  std::array<prometheus::Counter*, kNumWorkKinds> tokens_;
  std::array<prometheus::Counter*, kNumWorkKinds> score_cells_;
  prometheus::Histogram& batch_score_entries_;
  prometheus::Histogram& batch_token_padding_;
  prometheus::Histogram& batch_score_padding_;
  prometheus::Counter& strategy_stored_;
  prometheus::Counter& strategy_recompute_;
  prometheus::Counter& strategy_fused_;
  prometheus::Counter& multiply_adds_computed_;
  prometheus::Counter& multiply_adds_avoided_;
  prometheus::Counter& attention_flops_computed_;
  prometheus::Counter& attention_flops_avoided_;
  std::array<prometheus::Counter*, 3> batch_start_;  // replayed, captured, direct
  prometheus::Counter& golden_mismatches_;
  prometheus::Gauge& score_buffer_live_;
  prometheus::Gauge& score_buffer_peak_;
  prometheus::Gauge& score_buffer_capacity_;
  prometheus::Gauge& saved_parameters_;
  prometheus::Gauge& saved_activations_;
  prometheus::Gauge& saved_scores_;

  struct LayerScores {
    prometheus::Counter* computed;
    prometheus::Counter* reused;
    prometheus::Counter* recomputed;
  };
  // What carries the name of the device; made when the first version is ready.
  struct DeviceSeries {
    prometheus::Counter* busy_seconds = nullptr;
    prometheus::Gauge* arena_used = nullptr;
    prometheus::Gauge* arena_capacity = nullptr;
  };
  DeviceSeries OnDevice() ABSL_LOCKS_EXCLUDED(mutex_);
  void AddDeviceSeries(const std::string& device) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  DeviceSeries on_device_ ABSL_GUARDED_BY(mutex_);
  std::vector<LayerScores> layers_ ABSL_GUARDED_BY(mutex_);
  double activation_bytes_saved_per_token_ ABSL_GUARDED_BY(mutex_) = 0;
  prometheus::Gauge* ready_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null after a deliberate unload
  prometheus::Gauge* info_ ABSL_GUARDED_BY(mutex_) = nullptr;   // null until the first Ready
};

}  // namespace reprise::server::metrics
