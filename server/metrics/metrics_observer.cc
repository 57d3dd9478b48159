#include "server/metrics/metrics_observer.h"

#include <mutex>

#include "engine/check.h"
#include "server/metrics/metric_catalogue.h"

namespace reprise::server::metrics {
namespace {
constexpr std::string_view kUnknown = "_unknown";
}

MetricsObserver::MetricsObserver(MetricsRegistry& registry, const BuildLabels& build)
    : registry_(registry),
      draining_(registry.Gauge(catalogue::kDraining)),
      unknown_(registry, std::string(kUnknown), "") {
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
  registry.Gauge(catalogue::kBuildInfo, {build.version, build.commit}).Set(1);
}

void MetricsObserver::OnRpcFinished(const RpcOutcome& outcome) {
  const auto code = static_cast<std::size_t>(outcome.code);
  const MethodCounters* counters = &methods_.back();
  for (const MethodCounters& candidate : methods_) {
    if (candidate.method == outcome.method && candidate.protocol == outcome.protocol) {
      counters = &candidate;
      break;
    }
  }
  // A status may carry any integer; only the 17 codes of gRPC have series.
  counters->by_code[code < kNumCodes ? code : static_cast<std::size_t>(absl::StatusCode::kUnknown)]
      ->Increment();
}

void MetricsObserver::OnInferenceFinished(const InferenceOutcome& outcome) {
  SeriesOf(outcome.model, outcome.version).Inference(outcome);
}

void MetricsObserver::OnBatchFinished(const BatchOutcome& outcome) {
  SeriesOf(outcome.model, outcome.version).Batch(outcome);
}

void MetricsObserver::OnSequence(std::string_view model, std::string_view version,
                                 std::int64_t tokens) {
  SeriesOf(model, version).Sequence(tokens);
}

void MetricsObserver::OnQueueDepth(std::string_view model, std::string_view version,
                                   const QueueDepth& depth) {
  SeriesOf(model, version).Queue(depth);
}

void MetricsObserver::OnInflight(std::string_view model, std::string_view version,
                                 std::int64_t requests) {
  SeriesOf(model, version).Inflight(requests);
}

void MetricsObserver::OnModelState(std::string_view model, std::string_view version,
                                   ModelState state, std::string_view) {
  AddSeries(model, version).State(state);
}

void MetricsObserver::OnModelReady(const ModelDescription& description,
                                   std::chrono::nanoseconds load_time) {
  AddSeries(description.name, description.version).Ready(description, load_time);
}

void MetricsObserver::OnGoldenMismatch(std::string_view model, std::string_view version) {
  AddSeries(model, version).GoldenMismatch();
}

void MetricsObserver::OnDraining() { draining_.Set(1); }

ModelSeries& MetricsObserver::SeriesOf(std::string_view model, std::string_view version) {
  {
    const std::shared_lock lock(mutex_);
    const auto versions = models_.find(model);
    if (versions == models_.end()) return unknown_;
    const auto series = versions->second.find(version);
    if (series != versions->second.end()) return *series->second;
  }
  return AddSeries(model, "");
}

ModelSeries& MetricsObserver::AddSeries(std::string_view model, std::string_view version) {
  const std::unique_lock lock(mutex_);
  std::unique_ptr<ModelSeries>& series =
      models_.try_emplace(std::string(model)).first->second[std::string(version)];
  if (series == nullptr) {
    series = std::make_unique<ModelSeries>(registry_, std::string(model), std::string(version));
  }
  return *series;
}

}  // namespace reprise::server::metrics
