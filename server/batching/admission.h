// Admits a request to the queue or refuses it at once, by five bounds.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "server/request/clock.h"
#include "server/request/inference_request.h"
#include "server/request/mutex.h"
#include "server/request/observer.h"

namespace reprise::server::batching {

// A status together with its label in the metrics; OK and kNone when admitted.
struct Verdict {
  absl::Status status;
  RefusalReason reason = RefusalReason::kNone;
  bool ok() const { return status.ok(); }
};

// Whether a queue that holds `depth` may take `cost` more. ResourceExhausted names the bound that
// is full; InvalidArgument (kTooLarge) a cost that an empty queue could not hold either. Pure.
Verdict Admit(const QueueDepth& bounds, const QueueDepth& depth, const QueueDepth& cost);

class QueueTicket;

// What is queued and what is in flight for one model version: the only owner of these counts, which
// it reports to the observer as they change. Thread-safe; must outlive its tickets.
class QueueLedger {
 public:
  // `observer` must outlive this.
  QueueLedger(std::string model, std::string version, QueueDepth bounds, Observer& observer);
  QueueLedger(const QueueLedger&) = delete;
  QueueLedger& operator=(const QueueLedger&) = delete;

  // On success `ticket` holds the cost. Requires: an empty ticket.
  Verdict Enter(const QueueDepth& cost, QueueTicket* ticket);
  QueueDepth depth() const;
  std::int64_t inflight() const;
  // Waits until no ticket is out or `deadline` has come; whether none is.
  bool AwaitIdle(Clock& clock, SteadyClock::time_point deadline);

 private:
  friend class QueueTicket;
  Verdict Grow(const QueueDepth& cost);
  void Leave(const QueueDepth& cost);
  void End();
  Verdict AddLocked(const QueueDepth& cost) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string model_;
  const std::string version_;
  const QueueDepth bounds_;
  Observer& observer_;
  mutable Mutex mutex_;
  std::condition_variable idle_;
  QueueDepth depth_ ABSL_GUARDED_BY(mutex_);
  std::int64_t inflight_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A request's share of a ledger: in the queue until LeaveQueue, in flight until destruction.
// Move-only; not thread-safe.
class QueueTicket {
 public:
  QueueTicket() = default;  // empty
  ~QueueTicket();
  QueueTicket(QueueTicket&& other) noexcept;
  QueueTicket& operator=(QueueTicket&& other) noexcept;
  QueueTicket(const QueueTicket&) = delete;
  QueueTicket& operator=(const QueueTicket&) = delete;

  // Adds what became known later, or says which bound is full. Requires: not empty, in the queue.
  Verdict Grow(const QueueDepth& cost);
  void LeaveQueue();  // does nothing the second time

 private:
  friend class QueueLedger;
  QueueLedger* ledger_ = nullptr;
  QueueDepth cost_;
};

}  // namespace reprise::server::batching
