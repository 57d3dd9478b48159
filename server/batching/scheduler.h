// Queues admitted requests, forms batches of them and runs these on its workers.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "server/batching/batch_buffers.h"
#include "server/batching/batch_planner.h"
#include "server/batching/batch_request.h"
#include "server/batching/batch_runner.h"
#include "server/request/clock.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::batching {

struct SchedulerConfig {
  std::string model;  // for replies and the observer
  std::string version;
  PlannerRules rules;  // max_tokens and max_rows are also those of the runners
  BatchTimes times{};  // measured while the runners were warmed up
};

// One worker thread per runner runs what BatchPlanner decides; one more thread answers expired and
// cancelled requests at once, whatever the workers do: at the earliest deadline, and when a
// cancellation is announced. All of them share one mutex, under which nothing is answered,
// assembled or run. Thread-safe.
class Scheduler {
 public:
  // `clock` and `observer` must outlive this. Requires: at least one runner.
  Scheduler(SchedulerConfig config, std::vector<std::unique_ptr<BatchRunner>> runners, Clock& clock,
            Observer& observer);
  ~Scheduler();  // Shutdown
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Takes the request, which is answered exactly once: before this returns with DeadlineExceeded
  // when it would be done too late, after Shutdown with Unavailable. Requires: it fits the limits
  // on rows and tokens; it is nobody's to cancel under a lock that answering takes.
  void Submit(std::unique_ptr<BatchRequest> request);
  // From now on no batch waits for company.
  void Flush();
  // Answers what is queued with Unavailable; returns when the running batches are answered.
  // Idempotent.
  void Shutdown();
  // How long until the next batch makes room in the queue, by prediction.
  std::chrono::nanoseconds PredictedRoom() const;
  // When the sweeping thread was last seen alive. It looks at least once a second, so a value that
  // is much older means that this scheduler is stuck.
  SteadyClock::time_point heartbeat() const { return heartbeat_.load(std::memory_order_relaxed); }

 private:
  using BatchRequests = std::vector<std::unique_ptr<BatchRequest>>;
  struct Batch {
    BatchRequests abandoned;
    BatchRequests requests;  // empty: nothing to run
    std::int64_t tokens = 0;
    BatchCloseReason closed = BatchCloseReason::kIdle;
  };

  void Work(int executor);
  void Sweep();
  bool NextBatch(int executor, Batch* batch);  // false: stop
  void OnCancelled(ItemId id);
  void WakeSweeperLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BatchRequests TakeAbandonedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BatchRequests TakeOutLocked(const std::vector<ItemId>& ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(Batch batch, int executor, BatchBuffers* buffers);
  // The request's part of `outputs`; of `timing` all is known but how long taking it lasts, and
  // tokenizing. A StatusOr for Guarded's sake: it does not fail by itself.
  absl::StatusOr<InferenceReply> ReplyTo(const BatchRequest& request, RequestTiming timing,
                                         const engine::Outputs& outputs, std::int64_t first_row,
                                         std::int64_t first_token) const;
  void AnswerAbandoned(BatchRequests requests) const;

  const SchedulerConfig config_;
  const std::vector<std::unique_ptr<BatchRunner>> runners_;  // each used by its own worker only
  Clock& clock_;
  Observer& observer_;
  std::atomic<SteadyClock::time_point> heartbeat_;
  std::atomic<std::int64_t> batches_ = 0;  // begun so far
  std::atomic<ItemId> next_id_ = 0;

  mutable Mutex mutex_;
  std::condition_variable work_;   // for idle workers
  std::condition_variable sweep_;  // for the sweeping thread
  BatchPlanner planner_ ABSL_GUARDED_BY(mutex_);
  // What the planner holds, and nothing else.
  std::unordered_map<ItemId, std::unique_ptr<BatchRequest>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<ItemId> cancelled_ ABSL_GUARDED_BY(mutex_);  // announced; may have left already
  // When the sweeping thread looks next by itself; min() while it is awake.
  SteadyClock::time_point next_sweep_ ABSL_GUARDED_BY(mutex_) = SteadyClock::time_point::min();
  int idle_workers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> threads_;  // joined by the first Shutdown
};

}  // namespace reprise::server::batching
