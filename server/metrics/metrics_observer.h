// Turns what the rooms of the server report into metrics.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/metrics/metrics_registry.h"
#include "server/metrics/model_series.h"
#include "server/request/observer.h"

namespace reprise::server::metrics {

// What the series build_info says about the running program.
struct BuildLabels {
  std::string version;
  std::string commit;
};

// Thread-safe. `registry` must outlive it. A version's series begin with its first OnModelState or
// OnModelReady, so the number of series is bounded by what the repository holds: events that name
// any other model are counted under "_unknown", and an event that names no known version of a known
// model under the version "".
class MetricsObserver : public Observer {
 public:
  MetricsObserver(MetricsRegistry& registry, const BuildLabels& build);

  void OnRpcFinished(const RpcOutcome& outcome) override;
  void OnInferenceFinished(const InferenceOutcome& outcome) override;
  void OnBatchFinished(const BatchOutcome& outcome) override;
  void OnSequence(std::string_view model, std::string_view version, std::int64_t tokens) override;
  void OnQueueDepth(std::string_view model, std::string_view version,
                    const QueueDepth& depth) override;
  void OnInflight(std::string_view model, std::string_view version, std::int64_t requests) override;
  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view reason) override;
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override;
  void OnGoldenMismatch(std::string_view model, std::string_view version) override;
  void OnDraining() override;

 private:
  static constexpr std::size_t kNumCodes = 17;  // of absl::StatusCode, which are gRPC's
  struct MethodCounters {
    std::string_view protocol;
    std::string_view method;
    std::array<prometheus::Counter*, kNumCodes> by_code;
  };
  using VersionSeries = std::map<std::string, std::unique_ptr<ModelSeries>, std::less<>>;

  ModelSeries& SeriesOf(std::string_view model, std::string_view version);
  ModelSeries& AddSeries(std::string_view model, std::string_view version);

  MetricsRegistry& registry_;
  std::vector<MethodCounters> methods_;  // constant after construction; "_unknown" is the last
  prometheus::Gauge& draining_;
  ModelSeries unknown_;

  // Not server::Mutex: every event of the request path reads, only loading writes.
  mutable std::shared_mutex mutex_;
  std::map<std::string, VersionSeries, std::less<>> models_;  // guarded by mutex_
};

}  // namespace reprise::server::metrics
