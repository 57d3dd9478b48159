// Decides which queued requests form the next batch, from a snapshot of the queue, the limits and
// the time alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/request/observer.h"

namespace reprise::server::batching {

// What the policy sees of one request.
struct QueuedItem {
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t score_bytes = 0;
  SteadyClock::time_point queued;
  SteadyClock::time_point deadline = SteadyClock::time_point::max();
  bool cancelled = false;
  int overtaken = 0;  // batches that took later requests and not this one
};

// Earliest deadline first, where a request without one, or with a far one, counts as if it had
// `horizon` from the time it was queued. Requests with the same key keep the order they came in.
SteadyClock::time_point OrderKey(const QueuedItem& item, std::chrono::nanoseconds horizon);

struct BatchLimits {
  std::int64_t max_rows = 0;
  std::int64_t max_tokens = 0;
  std::int64_t max_score_bytes = 0;
  std::chrono::nanoseconds max_delay{0};
  int max_overtakes = 0;
};

struct QueueSnapshot {
  std::span<const QueuedItem> items;  // by ascending OrderKey
  int idle_executors = 0;
  bool draining = false;  // nothing will follow: waiting for company is pointless
};

// Indices into QueueSnapshot::items, each ascending and in at most one of `abandoned` and `batch`.
struct BatchDecision {
  std::vector<std::size_t> abandoned;  // expired or cancelled: answer them, never run them
  std::vector<std::size_t> batch;      // empty: nothing to run now
  std::vector<std::size_t> overtaken;  // stayed behind while a later one is in `batch`
  BatchCloseReason closed = BatchCloseReason::kIdle;  // why `batch` has no more in it
  // When to decide again if nothing changes before; max(): only a change can matter.
  SteadyClock::time_point look_again = SteadyClock::time_point::max();
};

// A batch closes when it is full by any limit, or else, with an executor idle, when its oldest
// request has waited max_delay, or when the queue drains. Requests are never split. One that does
// not fit is passed over at most max_overtakes times; then nothing joins before it. A request that
// exceeds a limit alone is run alone.
BatchDecision DecideBatch(const QueueSnapshot& queue, const BatchLimits& limits,
                          SteadyClock::time_point now);

}  // namespace reprise::server::batching
