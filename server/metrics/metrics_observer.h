// Turns what the rooms of the server report into metrics.
#pragma once

#include <array>
#include <cstdint>
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
#include "server/metrics/outcome_series.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::metrics {

// What metrics say about the running program from its start to its end.
struct ProgramFacts {
  std::string version{};
  std::string commit{};
  std::int64_t memory_limit_bytes = 0;
};

// Thread-safe. `registry` must outlive it. A version's series begin, at zero, with its first
// OnModelState or OnModelReady and end with OnModelUnloaded, so the number of series is bounded by
// what the repository holds. Inferences that ended without a version that is known are counted, in
// series of outcomes alone, under the version ""; those that name no known model under "_unknown".
class MetricsObserver : public Observer {
 public:
  MetricsObserver(MetricsRegistry& registry, const ProgramFacts& program);

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
  void OnModelUnloaded(std::string_view model, std::string_view version) override;
  void OnGoldenMismatch(std::string_view model, std::string_view version) override;
  void OnCertificate(std::chrono::system_clock::time_point expires) override;
  void OnDraining() override;
  void OnSpans(SpanFate fate, std::int64_t spans, std::string_view reason) override;

 private:
  static constexpr std::size_t kNumCodes = 17;  // of absl::StatusCode, which are gRPC's
  struct MethodCounters {
    std::string_view protocol;
    std::string_view method;
    std::array<prometheus::Counter*, kNumCodes> by_code;
  };
  static constexpr int kNumSpanFates = 3;
  struct Model {
    Model(MetricsRegistry& registry, const std::string& name)
        : without_version(registry, name, "") {}
    OutcomeSeries without_version;
    std::map<std::string, std::unique_ptr<ModelSeries>, std::less<>> versions;
  };

  // Null when there are none.
  ModelSeries* FindLocked(std::string_view model, std::string_view version) const;
  // Requires: life_mutex_ is held, until the series are no longer used.
  ModelSeries& FindOrAdd(std::string_view model, std::string_view version);
  // Calls `record(ModelSeries&)` if the version is known.
  template <typename Record>
  void With(std::string_view model, std::string_view version, Record record) const;

  MetricsRegistry& registry_;
  std::vector<MethodCounters> methods_;  // constant after construction; "_unknown" is the last
  prometheus::Gauge& draining_;
  std::array<prometheus::Counter*, kNumSpanFates> spans_;
  OutcomeSeries unknown_;

  // Held while versions come and go, so that it happens one by one; making and removing hundreds of
  // series takes a while, during which requests are counted on.
  Mutex life_mutex_;  // taken before mutex_

  // Not server::Mutex: every event of the request path reads, only loading and unloading write.
  // Held while recording, so that no series goes away meanwhile.
  mutable std::shared_mutex mutex_;
  std::map<std::string, Model, std::less<>> models_;  // guarded by mutex_
};

}  // namespace reprise::server::metrics
