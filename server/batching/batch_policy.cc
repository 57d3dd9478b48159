#include "server/batching/batch_policy.h"

#include <algorithm>
#include <optional>

#include "server/batching/service_order.h"

namespace reprise::server::batching {
namespace {

using TimePoint = SteadyClock::time_point;

// While all that is queued fits, no limit closes the batch.
constexpr BatchCloseReason kNotFull = BatchCloseReason::kIdle;
// Delays that nobody notices: less than batches differ by.
constexpr std::chrono::microseconds kUnnoticed{100};
// A load beyond this is not told from a burst.
constexpr double kMostLoad = 0.9;
// What an answer needs from its batch to its caller: encoding, the socket, a reader that wakes up.
constexpr std::chrono::milliseconds kWayBack{2};
// Requests that one decision looks at in vain. Bounds its time however many wait.
constexpr int kMostPassed = 64;

// A batch that is being filled, with the reason why something did not fit.
class Filling {
 public:
  // Without `times` the limits are all that matters.
  Filling(const QueueSnapshot& queue, const BatchLimits& limits, const BatchTimes* times,
          TimePoint now)
      : limits_(limits),
        times_(times),
        now_(now),
        tokens_per_second_(queue.tokens_per_second),
        waiting_(static_cast<std::int64_t>(queue.line.size())) {}

  // Takes `item` if it fits beside what is there; anything fits an empty batch.
  bool Take(const QueuedItem& item) {
    if (requests_ > 0) {
      if (const BatchCloseReason excess = Excess(item); excess != kNotFull) {
        if (full_by_ == kNotFull) full_by_ = excess;
        return false;
      }
    }
    ++requests_;
    --waiting_;
    rows_ += item.rows;
    tokens_ += item.tokens;
    score_bytes_ += item.score_bytes;
    oldest_ = std::min(oldest_, item.queued);
    // What will be late anyhow must not keep the batch small.
    if (Finish(tokens_) <= item.deadline) finish_by_ = std::min(finish_by_, item.deadline);
    if (rows_ >= limits_.max_rows) full_by_ = BatchCloseReason::kRows;
    if (tokens_ >= limits_.max_tokens) full_by_ = BatchCloseReason::kTokens;
    return true;
  }

  // Even alone it would be late.
  bool Hopeless(const QueuedItem& item) const {
    return times_ != nullptr && item.deadline < now_ + Time(item.tokens);
  }
  // Not even one token more would fit.
  bool no_room() const { return rows_ >= limits_.max_rows || tokens_ >= limits_.max_tokens; }
  bool empty() const { return requests_ == 0; }
  BatchCloseReason full_by() const { return full_by_; }
  std::int64_t tokens() const { return tokens_; }
  TimePoint oldest() const { return oldest_; }
  // The last moment at which the batch can start with every member in time.
  TimePoint start_by() const {
    return finish_by_ == TimePoint::max() ? finish_by_ : finish_by_ - (Finish(tokens_) - now_);
  }

 private:
  BatchCloseReason Excess(const QueuedItem& item) const {
    if (tokens_ + item.tokens > limits_.max_tokens) return BatchCloseReason::kTokens;
    if (rows_ + item.rows > limits_.max_rows) return BatchCloseReason::kRows;
    if (score_bytes_ + item.score_bytes > limits_.max_score_bytes) return BatchCloseReason::kScores;
    if (times_ == nullptr) return kNotFull;
    if (Finish(tokens_ + item.tokens) > finish_by_) return BatchCloseReason::kDeadline;
    // Whoever lets requests wait for company has chosen throughput over their time.
    const bool waits_for_company = limits_.max_delay.count() > 0;
    if (!waits_for_company && CostsMoreThanItSaves(item.tokens)) return BatchCloseReason::kCost;
    return kNotFull;
  }
  bool CostsMoreThanItSaves(std::int64_t tokens) const {
    const std::chrono::nanoseconds delay = Time(tokens_ + tokens) - Time(tokens_);
    // What two batches take more than one.
    const std::chrono::nanoseconds saved = Time(tokens) - delay;
    if (delay <= kUnnoticed) return false;
    // Everybody who comes before the queue is empty again gains as well: 1 / (1 - load) times as
    // many as wait now, by the busy period of queueing theory.
    const double seconds_per_token =
        std::chrono::duration<double>(delay).count() / static_cast<double>(tokens);
    const double load = std::min(kMostLoad, tokens_per_second_ * seconds_per_token);
    return static_cast<double>(delay.count() * requests_) * (1 - load) >
           static_cast<double>(saved.count() * waiting_);
  }
  std::chrono::nanoseconds Time(std::int64_t tokens) const {
    return times_->Predict(tokens).value();
  }
  TimePoint Finish(std::int64_t tokens) const {
    return times_ == nullptr ? now_ : now_ + times_->PredictWithMargin(tokens).value();
  }

  const BatchLimits& limits_;
  const BatchTimes* const times_;
  const TimePoint now_;
  const double tokens_per_second_;
  std::int64_t waiting_;  // those that have not joined
  std::int64_t requests_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t score_bytes_ = 0;
  TimePoint oldest_ = TimePoint::max();
  TimePoint finish_by_ = TimePoint::max();
  BatchCloseReason full_by_ = kNotFull;
};

// Fills `filling` and the decision's lists in the order of service.
void Fill(const WaitingLine& line, int max_overtakes, Filling* filling, BatchDecision* decision) {
  ServiceOrder order(line);
  std::size_t overtaken = 0;  // those in decision->overtaken with a later one in the batch
  int passed = 0;
  while (!filling->no_room() && passed < kMostPassed) {
    const QueuedItem* item = order.Next();
    if (item == nullptr) break;
    if (filling->Hopeless(*item)) {
      ++passed;
    } else if (filling->Take(*item)) {
      order.Take();
      decision->batch.push_back(item->id);
      overtaken = decision->overtaken.size();
    } else if (item->overtaken >= max_overtakes) {
      break;
    } else {
      ++passed;
      decision->overtaken.push_back(item->id);
    }
  }
  decision->overtaken.resize(overtaken);
  decision->rounds = order.Rounds();
  decision->tokens = filling->tokens();
  decision->closed = filling->full_by();
}

}  // namespace

BatchDecision DecideBatch(const QueueSnapshot& queue, const BatchLimits& limits, TimePoint now) {
  if (queue.line.empty() || queue.idle_executors == 0) return {};
  const BatchTimes* times = queue.times != nullptr && !queue.times->empty() ? queue.times : nullptr;
  BatchDecision decision;
  Filling filling(queue, limits, times, now);
  Fill(queue.line, limits.max_overtakes, &filling, &decision);
  if (filling.empty()) {
    // Nothing but hopeless requests: better run than idle, for predictions can be wrong.
    Filling any(queue, limits, nullptr, now);
    Fill(queue.line, limits.max_overtakes, &any, &decision);
    if (decision.closed == kNotFull) decision.closed = BatchCloseReason::kIdle;
    return decision;
  }
  if (decision.closed != kNotFull) return decision;
  const TimePoint due = filling.oldest() + limits.max_delay;
  if (queue.draining) {
    decision.closed = BatchCloseReason::kDrain;
  } else if (limits.max_delay.count() == 0) {
    decision.closed = BatchCloseReason::kIdle;
  } else if (due <= now) {
    decision.closed = BatchCloseReason::kDelay;
  } else if (const TimePoint start_by = filling.start_by() - kWayBack; start_by <= now) {
    decision.closed = BatchCloseReason::kDeadline;
  } else {
    decision = {};
    decision.look_again = std::min(due, start_by);
  }
  return decision;
}

}  // namespace reprise::server::batching
