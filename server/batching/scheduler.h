// Queues admitted requests, forms batches of them and runs these on its workers.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/batching/batch_buffers.h"
#include "server/batching/batch_policy.h"
#include "server/batching/batch_runner.h"
#include "server/batching/request_queue.h"
#include "server/request/clock.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::batching {

struct SchedulerConfig {
  std::string model;  // for replies and the observer
  std::string version;
  BatchLimits limits;  // max_tokens and max_rows are also those of the runners
  std::chrono::nanoseconds ordering_horizon{0};
};

// One worker thread per runner decides by DecideBatch and runs what it decided; one more thread
// removes expired and cancelled requests while every worker is busy. All of them share one mutex,
// under which nothing is answered, assembled or run. Thread-safe.
class Scheduler {
 public:
  // `clock` and `observer` must outlive this. Requires: at least one runner.
  Scheduler(SchedulerConfig config, std::vector<std::unique_ptr<BatchRunner>> runners, Clock& clock,
            Observer& observer);
  ~Scheduler();  // Shutdown
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Takes the request, which is answered exactly once; after Shutdown with Unavailable, before this
  // returns. Requires: it fits the limits on rows and tokens.
  void Submit(std::unique_ptr<BatchRequest> request);
  // From now on no batch waits for company.
  void Flush();
  // Answers what is queued with Unavailable; returns when the running batches are answered.
  // Idempotent.
  void Shutdown();
  // When the sweeping thread was last seen alive. It looks at least once a second, so a value that
  // is much older means that this scheduler is stuck.
  SteadyClock::time_point heartbeat() const { return heartbeat_.load(std::memory_order_relaxed); }

 private:
  struct Batch {
    BatchRequests abandoned;
    BatchRequests requests;
    BatchCloseReason closed = BatchCloseReason::kIdle;
  };

  void Work(BatchRunner& runner);
  void SweepWhileBusy();
  bool NextBatch(Batch* batch);  // false: stop
  SteadyClock::time_point TakeLocked(int idle_executors, Batch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(Batch batch, BatchRunner& runner, BatchBuffers* buffers);
  void AnswerAbandoned(BatchRequests requests) const;

  const SchedulerConfig config_;
  const std::vector<std::unique_ptr<BatchRunner>> runners_;  // each used by its own worker only
  Clock& clock_;
  Observer& observer_;
  std::atomic<SteadyClock::time_point> heartbeat_;
  std::atomic<std::int64_t> batches_ = 0;  // begun so far

  Mutex mutex_;
  std::condition_variable work_;   // for idle workers
  std::condition_variable sweep_;  // for the sweeping thread
  RequestQueue queue_ ABSL_GUARDED_BY(mutex_);
  int idle_workers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> threads_;  // joined by the first Shutdown
};

}  // namespace reprise::server::batching
