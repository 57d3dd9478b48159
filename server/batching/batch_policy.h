// Decides which queued requests form the next batch, from a snapshot of the queue, the limits and
// the time alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "server/batching/batch_times.h"
#include "server/batching/waiting_line.h"
#include "server/request/observer.h"

namespace reprise::server::batching {

struct BatchLimits {
  std::int64_t max_rows = 0;
  std::int64_t max_tokens = 0;
  std::int64_t max_score_bytes = 0;
  std::chrono::nanoseconds max_delay{0};
  int max_overtakes = 0;
};

struct QueueSnapshot {
  const WaitingLine& line;  // without requests whose deadline has come
  int idle_executors = 0;
  bool draining = false;              // nothing will follow: waiting for company is pointless
  const BatchTimes* times = nullptr;  // null: nothing is predicted
  double tokens_per_second = 0;       // that ask to be served
};

struct BatchDecision {
  std::vector<ItemId> batch;      // in the order of service; empty: nothing to run now
  std::vector<ItemId> overtaken;  // stayed behind while a later one is in `batch`
  std::vector<Round> rounds;      // to apply to the line, before `batch` is removed from it
  std::int64_t tokens = 0;        // of `batch`
  BatchCloseReason closed = BatchCloseReason::kIdle;  // why `batch` has no more in it
  // When to decide again if nothing changes before; max(): only a change can matter.
  SteadyClock::time_point look_again = SteadyClock::time_point::max();
};

// Takes requests in the order of ServiceOrder while they fit: within the limits; without making a
// member late that could be in time; and without costing more than they save, as a long request may
// among short ones: the time it adds, for each member, against what a batch of its own adds, for
// everybody who waits or comes before the queue is empty again. So batches grow with the load. A
// batch closes when something does not fit, or else, with an executor idle, when its oldest request
// has waited max_delay or a member can wait no longer, or when the queue drains. Requests are never
// split. One that does not fit is passed over at most max_overtakes times; then nothing joins
// before it. A request that exceeds a limit alone is run alone. One that cannot be in time any more
// even alone is taken only when there is no other.
BatchDecision DecideBatch(const QueueSnapshot& queue, const BatchLimits& limits,
                          SteadyClock::time_point now);

}  // namespace reprise::server::batching
