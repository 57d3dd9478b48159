#include "server/metrics/statistics_observer.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/numbers.h"
#include "engine/model.h"

namespace reprise::server::metrics {
namespace {

void CountFailure(const InferenceOutcome& outcome, VersionStatistics* statistics) {
  statistics->fail.Add(outcome.duration);
  FailureCounts& failures = statistics->failures;
  switch (outcome.code) {
    case absl::StatusCode::kCancelled:
      ++failures.cancelled;
      statistics->cancelled.Add(outcome.duration);
      return;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
      ++(outcome.refusal == RefusalReason::kTooLarge ? failures.other : failures.rejected);
      return;
    case absl::StatusCode::kInternal:
      ++failures.backend;
      return;
    default:
      ++failures.other;
  }
}

void CountSuccess(const InferenceOutcome& outcome, VersionStatistics* statistics) {
  const RequestTiming& timing = outcome.timing;
  statistics->last_inference =
      std::chrono::system_clock::now() -
      std::chrono::duration_cast<std::chrono::system_clock::duration>(outcome.duration);
  statistics->inference_count += outcome.rows;
  statistics->success.Add(outcome.duration);
  statistics->queue.Add(timing.queue);
  statistics->compute_input.Add(timing.tokenize + timing.form);
  statistics->compute_infer.Add(timing.compute);
  statistics->compute_output.Add(timing.unpack + outcome.encode);
}

}  // namespace

// The counts of one version.
class StatisticsObserver::Record {
 public:
  void Loaded(const ModelDescription& description, std::chrono::nanoseconds load_time) {
    MutexLock lock(mutex_);
    statistics_.model = description.name;
    statistics_.version = description.version;
    statistics_.load_time = load_time;
    executors_ = description.limits.executors;
    parameter_bytes_ = description.model == nullptr ? 0 : description.model->parameter_bytes();
    arena_bytes_ = 0;
    ready_.store(true, std::memory_order_release);
  }
  void State(ModelState state) {
    ready_.store(state == ModelState::kReady, std::memory_order_release);
  }
  bool ready() const { return ready_.load(std::memory_order_acquire); }

  void Inference(const InferenceOutcome& outcome) {
    MutexLock lock(mutex_);
    if (outcome.code != absl::StatusCode::kOk) return CountFailure(outcome, &statistics_);
    CountSuccess(outcome, &statistics_);
    batches_[outcome.timing.batch_rows].output.time += outcome.timing.unpack;
  }
  void Batch(const BatchOutcome& outcome) {
    if (outcome.report == nullptr) return;  // the engine failed
    MutexLock lock(mutex_);
    ++statistics_.execution_count;
    BatchSizeStatistics& size = batches_[outcome.rows];
    size.input.Add(outcome.form);
    size.infer.Add(outcome.compute);
    ++size.output.count;
    arena_bytes_ = outcome.report->arena_bytes;
  }
  void Pending(std::int64_t requests) {
    MutexLock lock(mutex_);
    statistics_.pending = requests;
  }

  VersionStatistics Read() const {
    MutexLock lock(mutex_);
    VersionStatistics statistics = statistics_;
    statistics.ready = ready();
    statistics.memory_bytes = parameter_bytes_ + executors_ * arena_bytes_;
    for (const auto& [rows, size] : batches_) {
      statistics.batches.push_back(size);
      statistics.batches.back().rows = rows;
    }
    return statistics;
  }

 private:
  mutable Mutex mutex_;
  VersionStatistics statistics_ ABSL_GUARDED_BY(mutex_);  // but what Read puts in
  std::map<std::int64_t, BatchSizeStatistics> batches_ ABSL_GUARDED_BY(mutex_);  // by rows
  std::int64_t executors_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t parameter_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t arena_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of one executor, once one has run
  std::atomic<bool> ready_{false};
};

StatisticsObserver::StatisticsObserver() = default;
StatisticsObserver::~StatisticsObserver() = default;

void StatisticsObserver::OnInferenceFinished(const InferenceOutcome& outcome) {
  if (Record* record = Find(outcome.model, outcome.version)) record->Inference(outcome);
}

void StatisticsObserver::OnBatchFinished(const BatchOutcome& outcome) {
  if (Record* record = Find(outcome.model, outcome.version)) record->Batch(outcome);
}

void StatisticsObserver::OnQueueDepth(std::string_view model, std::string_view version,
                                      const QueueDepth& depth) {
  if (Record* record = Find(model, version)) record->Pending(depth.requests);
}

void StatisticsObserver::OnModelState(std::string_view model, std::string_view version,
                                      ModelState state, std::string_view /*reason*/) {
  if (Record* record = Find(model, version)) record->State(state);
}

void StatisticsObserver::OnModelReady(const ModelDescription& description,
                                      std::chrono::nanoseconds load_time) {
  std::int64_t version = 0;
  if (absl::SimpleAtoi(description.version, &version)) {
    const std::unique_lock lock(mutex_);
    std::unique_ptr<Record>& record = models_[description.name][version];
    if (record == nullptr) record = std::make_unique<Record>();
    record->Loaded(description, load_time);
  }
}

// Null for a version that was never ready. Without a version: the latest that is ready.
StatisticsObserver::Record* StatisticsObserver::Find(std::string_view model,
                                                     std::string_view version) const {
  const std::shared_lock lock(mutex_);
  const auto versions = models_.find(model);
  if (versions == models_.end()) return nullptr;
  if (version.empty()) {
    const auto latest = std::find_if(versions->second.rbegin(), versions->second.rend(),
                                     [](const auto& each) { return each.second->ready(); });
    return latest == versions->second.rend() ? nullptr : latest->second.get();
  }
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(absl::string_view(version.data(), version.size()), &number)) return nullptr;
  const auto found = versions->second.find(number);
  return found == versions->second.end() ? nullptr : found->second.get();
}

std::vector<VersionStatistics> StatisticsObserver::Statistics() const {
  const std::shared_lock lock(mutex_);
  std::vector<VersionStatistics> statistics;
  for (const auto& [model, versions] : models_) {
    for (const auto& [number, record] : versions) statistics.push_back(record->Read());
  }
  return statistics;
}

}  // namespace reprise::server::metrics
