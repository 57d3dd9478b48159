#include "server/batching/batch_policy.h"

#include <algorithm>
#include <optional>

namespace reprise::server::batching {
namespace {

using TimePoint = SteadyClock::time_point;

// While all that is queued fits, no limit closes the batch.
constexpr BatchCloseReason kNotFull = BatchCloseReason::kIdle;

// A batch that is being filled, with the reason why something did not fit.
class Filling {
 public:
  explicit Filling(const BatchLimits& limits) : limits_(limits) {}

  // Takes `item` if it fits beside what is there; anything fits an empty batch.
  bool Take(const QueuedItem& item) {
    if (requests_ > 0) {
      if (const BatchCloseReason excess = Excess(item); excess != kNotFull) {
        if (full_by_ == kNotFull) full_by_ = excess;
        return false;
      }
    }
    ++requests_;
    rows_ += item.rows;
    tokens_ += item.tokens;
    score_bytes_ += item.score_bytes;
    if (rows_ >= limits_.max_rows) full_by_ = BatchCloseReason::kRows;
    if (tokens_ >= limits_.max_tokens) full_by_ = BatchCloseReason::kTokens;
    return true;
  }

  // Not even one token more would fit.
  bool no_room() const { return rows_ >= limits_.max_rows || tokens_ >= limits_.max_tokens; }
  BatchCloseReason full_by() const { return full_by_; }

 private:
  BatchCloseReason Excess(const QueuedItem& item) const {
    if (tokens_ + item.tokens > limits_.max_tokens) return BatchCloseReason::kTokens;
    if (rows_ + item.rows > limits_.max_rows) return BatchCloseReason::kRows;
    if (score_bytes_ + item.score_bytes > limits_.max_score_bytes) return BatchCloseReason::kScores;
    return kNotFull;
  }

  const BatchLimits& limits_;
  std::int64_t requests_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t score_bytes_ = 0;
  BatchCloseReason full_by_ = kNotFull;
};

bool Abandoned(const QueuedItem& item, TimePoint now) {
  return item.cancelled || item.deadline <= now;
}

// Removes from `decision` what is expired or cancelled; the queueing time of the oldest other
// request, or nothing when there is none.
std::optional<TimePoint> Sweep(const QueueSnapshot& queue, TimePoint now, BatchDecision* decision) {
  std::optional<TimePoint> oldest;
  for (std::size_t i = 0; i < queue.items.size(); ++i) {
    const QueuedItem& item = queue.items[i];
    if (Abandoned(item, now)) {
      decision->abandoned.push_back(i);
      continue;
    }
    decision->look_again = std::min(decision->look_again, item.deadline);
    oldest = oldest ? std::min(*oldest, item.queued) : item.queued;
  }
  return oldest;
}

// Fills decision->batch in order; the limit that it is full by, or kNotFull.
BatchCloseReason Fill(const QueueSnapshot& queue, const BatchLimits& limits, TimePoint now,
                      BatchDecision* decision) {
  Filling filling(limits);
  for (std::size_t i = 0; i < queue.items.size() && !filling.no_room(); ++i) {
    const QueuedItem& item = queue.items[i];
    if (Abandoned(item, now)) continue;
    if (filling.Take(item)) {
      decision->batch.push_back(i);
    } else if (item.overtaken >= limits.max_overtakes) {
      break;
    } else {
      decision->overtaken.push_back(i);
    }
  }
  while (!decision->overtaken.empty() && decision->overtaken.back() > decision->batch.back()) {
    decision->overtaken.pop_back();
  }
  return filling.full_by();
}

}  // namespace

TimePoint OrderKey(const QueuedItem& item, std::chrono::nanoseconds horizon) {
  return std::min(item.deadline, item.queued + horizon);
}

BatchDecision DecideBatch(const QueueSnapshot& queue, const BatchLimits& limits, TimePoint now) {
  BatchDecision decision;
  const std::optional<TimePoint> oldest = Sweep(queue, now, &decision);
  if (!oldest || queue.idle_executors == 0) return decision;

  decision.closed = Fill(queue, limits, now, &decision);
  if (decision.closed != kNotFull) return decision;
  if (queue.draining) {
    decision.closed = BatchCloseReason::kDrain;
  } else if (limits.max_delay.count() == 0) {
    decision.closed = BatchCloseReason::kIdle;
  } else if (now - *oldest >= limits.max_delay) {
    decision.closed = BatchCloseReason::kDelay;
  } else {
    decision.batch.clear();
    decision.overtaken.clear();
    decision.look_again = std::min(decision.look_again, *oldest + limits.max_delay);
  }
  return decision;
}

}  // namespace reprise::server::batching
