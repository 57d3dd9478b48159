// Counts what each version of a model does, for ModelStatistics and Triton's metrics.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/request/model_statistics.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::metrics {

// Thread-safe. A version counts from its first OnModelReady; what is told of other names counts
// nowhere. A request that failed before a version was chosen counts for the version it asked for,
// or else for the latest that is ready.
class StatisticsObserver final : public Observer, public StatisticsSource {
 public:
  StatisticsObserver();
  ~StatisticsObserver() override;

  void OnInferenceFinished(const InferenceOutcome& outcome) override;
  void OnBatchFinished(const BatchOutcome& outcome) override;
  void OnQueueDepth(std::string_view model, std::string_view version,
                    const QueueDepth& depth) override;
  void OnModelState(std::string_view model, std::string_view version, ModelState state,
                    std::string_view reason) override;
  void OnModelReady(const ModelDescription& description,
                    std::chrono::nanoseconds load_time) override;

  std::vector<VersionStatistics> Statistics() const override;

 private:
  class Record;
  using Versions = std::map<std::int64_t, std::unique_ptr<Record>>;

  Record* Find(std::string_view model, std::string_view version) const;

  // Not server::Mutex: every event of the request path reads, only loading writes.
  mutable std::shared_mutex mutex_;
  std::map<std::string, Versions, std::less<>> models_;  // guarded by mutex_; records stay
};

}  // namespace reprise::server::metrics
