#include "server/metrics/metrics_observer.h"

#include <mutex>

#include "engine/check.h"
#include "server/metrics/metric_catalogue.h"

namespace reprise::server::metrics {
namespace {
constexpr std::string_view kUnknown = "_unknown";
}

MetricsObserver::MetricsObserver(MetricsRegistry& registry, const ProgramFacts& program)
    : registry_(registry),
      draining_(registry.Gauge(catalogue::kDraining)),
      unknown_(registry, std::string(kUnknown), "") {
  const std::span<const std::string_view> fates = catalogue::kTraceSpansTotal.labels[0].values;
  REPRISE_CHECK(fates.size() == kNumSpanFates);
  for (std::size_t fate = 0; fate < kNumSpanFates; ++fate) {
    spans_[fate] = &registry.Counter(catalogue::kTraceSpansTotal, {std::string(fates[fate])});
  }
  const std::span<const LabelDefinition> labels = catalogue::kRequestsTotal.labels;
  const std::span<const std::string_view> codes = labels[2].values;
  REPRISE_CHECK(codes.size() == kNumCodes && labels[1].values.back() == kUnknown);
  for (const std::string_view protocol : labels[0].values) {
    for (const std::string_view method : labels[1].values) {
      MethodCounters& counters = methods_.emplace_back(protocol, method);
      for (std::size_t code = 0; code < kNumCodes; ++code) {
        counters.by_code[code] = &registry.Counter(
            catalogue::kRequestsTotal,
            {std::string(protocol), std::string(method), std::string(codes[code])});
      }
    }
  }
  registry.Gauge(catalogue::kBuildInfo, {program.version, program.commit}).Set(1);
  registry.Gauge(catalogue::kMemoryLimitBytes).Set(static_cast<double>(program.memory_limit_bytes));
}

void MetricsObserver::OnRpcFinished(const RpcOutcome& outcome) {
  const auto code = static_cast<std::size_t>(outcome.code);
  const MethodCounters* counters = &methods_.back();
  for (const MethodCounters& candidate : methods_) {
    if (candidate.protocol != outcome.protocol) continue;
    counters = &candidate;  // `_unknown`, the last of its protocol, unless an earlier one matches
    if (candidate.method == outcome.method) break;
  }
  // A status may carry any integer; only the 17 codes of gRPC have series.
  counters->by_code[code < kNumCodes ? code : static_cast<std::size_t>(absl::StatusCode::kUnknown)]
      ->Increment();
}

void MetricsObserver::OnInferenceFinished(const InferenceOutcome& outcome) {
  const std::shared_lock lock(mutex_);
  const auto model = models_.find(outcome.model);
  if (model == models_.end()) {
    unknown_.Count(outcome);
    return;
  }
  const auto series = model->second.versions.find(outcome.version);
  if (series == model->second.versions.end()) {
    model->second.without_version.Count(outcome);
    return;
  }
  series->second->Inference(outcome);
}

void MetricsObserver::OnBatchFinished(const BatchOutcome& outcome) {
  With(outcome.model, outcome.version, [&](ModelSeries& series) { series.Batch(outcome); });
}

void MetricsObserver::OnSequence(std::string_view model, std::string_view version,
                                 std::int64_t tokens) {
  With(model, version, [&](ModelSeries& series) { series.Sequence(tokens); });
}

void MetricsObserver::OnQueueDepth(std::string_view model, std::string_view version,
                                   const QueueDepth& depth) {
  With(model, version, [&](ModelSeries& series) { series.Queue(depth); });
}

void MetricsObserver::OnInflight(std::string_view model, std::string_view version,
                                 std::int64_t requests) {
  With(model, version, [&](ModelSeries& series) { series.Inflight(requests); });
}

void MetricsObserver::OnModelState(std::string_view model, std::string_view version,
                                   ModelState state, std::string_view) {
  if (version.empty()) return;  // no version was found, so none has series
  const MutexLock lock(life_mutex_);
  FindOrAdd(model, version).State(state);
}

void MetricsObserver::OnModelReady(const ModelDescription& description,
                                   std::chrono::nanoseconds load_time) {
  const MutexLock lock(life_mutex_);
  FindOrAdd(description.name, description.version).Ready(description, load_time);
}

void MetricsObserver::OnModelUnloaded(std::string_view model, std::string_view version) {
  const MutexLock life_lock(life_mutex_);
  std::unique_ptr<ModelSeries> gone;  // destroyed after the lock below is released
  const std::unique_lock lock(mutex_);
  const auto found = models_.find(model);
  if (found == models_.end()) return;
  const auto series = found->second.versions.find(version);
  if (series == found->second.versions.end()) return;
  gone = std::move(series->second);
  found->second.versions.erase(series);
}

void MetricsObserver::OnGoldenMismatch(std::string_view model, std::string_view version) {
  With(model, version, [](ModelSeries& series) { series.GoldenMismatch(); });
}

// Without TLS there is no such series: nothing expires.
void MetricsObserver::OnCertificate(std::chrono::system_clock::time_point expires) {
  registry_.Gauge(catalogue::kTlsCertificateExpiryTimestampSeconds)
      .Set(std::chrono::duration<double>(expires.time_since_epoch()).count());
}

void MetricsObserver::OnDraining() { draining_.Set(1); }

void MetricsObserver::OnSpans(SpanFate fate, std::int64_t spans, std::string_view) {
  spans_[static_cast<std::size_t>(fate)]->Increment(static_cast<double>(spans));
}

template <typename Record>
void MetricsObserver::With(std::string_view model, std::string_view version, Record record) const {
  const std::shared_lock lock(mutex_);
  if (ModelSeries* series = FindLocked(model, version)) record(*series);
}

ModelSeries* MetricsObserver::FindLocked(std::string_view model, std::string_view version) const {
  const auto found = models_.find(model);
  if (found == models_.end()) return nullptr;
  const auto series = found->second.versions.find(version);
  return series == found->second.versions.end() ? nullptr : series->second.get();
}

ModelSeries& MetricsObserver::FindOrAdd(std::string_view model, std::string_view version) {
  const std::string name(model);
  {
    const std::shared_lock lock(mutex_);
    if (ModelSeries* series = FindLocked(model, version)) return *series;
  }
  auto series = std::make_unique<ModelSeries>(registry_, name, std::string(version));
  const std::unique_lock lock(mutex_);
  auto& versions = models_.try_emplace(name, registry_, name).first->second.versions;
  return *(versions[std::string(version)] = std::move(series));
}

}  // namespace reprise::server::metrics
