#include "server/simulation/simulator.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "server/batching/admission.h"

namespace reprise::server::simulation {
namespace {

using batching::BatchDecision;
using batching::BatchPlanner;
using batching::BatchTimes;
using batching::ItemId;
using batching::QueuedItem;
using TimePoint = SteadyClock::time_point;

// Any time will do, as long as deadlines have room on both sides.
constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr std::size_t kProgressStep = 1000;

std::int64_t Sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

std::int64_t Squares(const Arrival& arrival) {
  std::int64_t squares = 0;
  for (const std::int64_t tokens : arrival.row_tokens) squares += tokens * tokens;
  return squares;
}

BatchTimes WarmedUp(const SimulationOptions& options) {
  constexpr std::int64_t kShort = 16, kLong = 512;
  const std::int64_t most = options.rules.limits.max_tokens;
  BatchTimes times;
  const auto run = [&](std::int64_t rows, std::int64_t tokens) {
    times.Record(rows * tokens, options.cost.Time(rows * tokens, rows * tokens * tokens));
  };
  run(1, 1);
  run(1, std::min(kLong, most));
  run(std::clamp<std::int64_t>(std::min(kLong, most) / kShort, 1, options.rules.limits.max_rows),
      std::min(kShort, most));
  return times;
}

class Simulator {
 public:
  Simulator(const ArrivalTrace& trace, const SimulationOptions& options)
      : trace_(trace),
        options_(options),
        planner_(options.rules, options.executors, WarmedUp(options)),
        executors_(options.executors) {
    result_.requests.resize(trace.size());
  }

  SimulationResult Run(const std::function<void(std::size_t)>& progress) {
    TimePoint now = kStart;
    while (true) {
      for (Executor& executor : executors_) {
        if (executor.busy && executor.done <= now) Finish(&executor);
      }
      for (; arrived_ < trace_.size() && kStart + trace_[arrived_].at <= now; ++arrived_) {
        if (progress && arrived_ % kProgressStep == 0) progress(arrived_);
        Arrive(arrived_, now);
      }
      Expire(now);
      const TimePoint look_again = StartBatches(now);
      const TimePoint next = NextEvent(look_again);
      if (next == TimePoint::max()) break;
      now = std::max(now + std::chrono::nanoseconds(1), next);
    }
    if (progress) progress(trace_.size());
    return std::move(result_);
  }

 private:
  struct Executor {
    bool busy = false;
    TimePoint start;
    TimePoint done;
    std::int64_t tokens = 0;
    std::vector<ItemId> batch;
  };

  TimePoint Deadline(const Arrival& arrival) const {
    const TimePoint at = kStart + arrival.at;
    TimePoint deadline = TimePoint::max();
    if (arrival.timeout.count() > 0) deadline = at + arrival.timeout;
    if (options_.queue_timeout.count() > 0) {
      deadline = std::min(deadline, at + options_.queue_timeout);
    }
    return deadline;
  }

  QueueDepth Cost(const Arrival& arrival) const {
    const std::int64_t tokens = Sum(arrival.row_tokens);
    return {.requests = 1,
            .rows = static_cast<std::int64_t>(arrival.row_tokens.size()),
            .tokens = tokens,
            .bytes = 8 * tokens,
            .score_bytes = options_.score_bytes_per_square * Squares(arrival)};
  }

  void Refuse(ItemId id, RefusalReason reason) {
    result_.requests[id] = {.fate = Fate::kRefused, .refusal = reason};
  }

  // The same steps in the same order as the server's: limits, bounds, prediction.
  void Arrive(ItemId id, TimePoint now) {
    const Arrival& arrival = trace_[id];
    const QueueDepth cost = Cost(arrival);
    if (cost.rows > options_.rules.limits.max_rows ||
        cost.tokens > options_.rules.limits.max_tokens) {
      return Refuse(id, RefusalReason::kInvalid);
    }
    const batching::Verdict verdict = batching::Admit(options_.bounds, depth_, cost);
    if (!verdict.ok()) return Refuse(id, verdict.reason);
    const QueuedItem item{.id = id,
                          .rows = cost.rows,
                          .tokens = cost.tokens,
                          .score_bytes = cost.score_bytes,
                          .queued = now,
                          .deadline = Deadline(arrival),
                          .priority = arrival.priority};
    if (planner_.Enter(item, arrival.client, now)) return Refuse(id, RefusalReason::kDeadline);
    Count(cost, 1);
  }

  void Expire(TimePoint now) {
    for (const ItemId id : planner_.TakeExpired(now)) {
      Count(Cost(trace_[id]), -1);
      result_.requests[id] = {.fate = Fate::kExpired,
                              .refusal = RefusalReason::kDeadline,
                              .wait = now - kStart - trace_[id].at};
    }
  }

  // When a batch that waits for company wants to be looked at again.
  TimePoint StartBatches(TimePoint now) {
    for (std::size_t i = 0; i < executors_.size(); ++i) {
      if (executors_[i].busy) continue;
      const auto idle = std::count_if(executors_.begin(), executors_.end(),
                                      [](const Executor& executor) { return !executor.busy; });
      // The end of a trace is not the end of the traffic it stands for: nothing drains.
      const BatchDecision decision =
          planner_.TakeBatch(static_cast<int>(idle), /*draining=*/false, now);
      if (decision.batch.empty()) return decision.look_again;
      Start(static_cast<int>(i), decision, now);
    }
    return TimePoint::max();
  }

  void Start(int number, const BatchDecision& decision, TimePoint now) {
    BatchShape shape{.requests = static_cast<std::int64_t>(decision.batch.size()),
                     .tokens = decision.tokens,
                     .closed = decision.closed};
    std::int64_t squares = 0;
    for (const ItemId id : decision.batch) {
      const Arrival& arrival = trace_[id];
      shape.rows += static_cast<std::int64_t>(arrival.row_tokens.size());
      squares += Squares(arrival);
      Count(Cost(arrival), -1);
      result_.requests[id].wait = now - kStart - arrival.at;
    }
    shape.time = Jittered(options_.cost.Time(decision.tokens, squares));
    executors_[number] = {true, now, now + shape.time, decision.tokens, decision.batch};
    planner_.Started(number, decision.tokens, now);
    result_.batches.push_back(shape);
  }

  void Finish(Executor* executor) {
    planner_.Finished(static_cast<int>(executor - executors_.data()));
    planner_.Learn(executor->tokens, executor->done - executor->start);
    for (const ItemId id : executor->batch) {
      result_.requests[id].latency = executor->done - kStart - trace_[id].at;
      const bool late = executor->done > Deadline(trace_[id]);
      result_.requests[id].fate = late ? Fate::kLate : Fate::kInTime;
    }
    result_.duration = std::max(result_.duration, executor->done - kStart);
    executor->busy = false;
  }

  TimePoint NextEvent(TimePoint look_again) const {
    TimePoint next = std::min(look_again, planner_.next_deadline());
    if (arrived_ < trace_.size()) next = std::min(next, kStart + trace_[arrived_].at);
    for (const Executor& executor : executors_) {
      if (executor.busy) next = std::min(next, executor.done);
    }
    return next;
  }

  std::chrono::nanoseconds Jittered(std::chrono::nanoseconds time) {
    const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;  // [0, 1)
    const double factor = 1 + options_.jitter * (2 * uniform - 1);
    return std::chrono::nanoseconds(std::max<std::int64_t>(
        1, static_cast<std::int64_t>(static_cast<double>(time.count()) * factor)));
  }

  void Count(const QueueDepth& cost, int sign) {
    depth_.requests += sign * cost.requests;
    depth_.rows += sign * cost.rows;
    depth_.tokens += sign * cost.tokens;
    depth_.bytes += sign * cost.bytes;
    depth_.score_bytes += sign * cost.score_bytes;
  }

  const ArrivalTrace& trace_;
  const SimulationOptions& options_;
  BatchPlanner planner_;
  std::vector<Executor> executors_;
  QueueDepth depth_;
  std::size_t arrived_ = 0;
  std::mt19937_64 random_{1};
  SimulationResult result_;
};

}  // namespace

SimulationResult Simulate(const ArrivalTrace& trace, const SimulationOptions& options,
                          const std::function<void(std::size_t)>& progress) {
  return Simulator(trace, options).Run(progress);
}

}  // namespace reprise::server::simulation
