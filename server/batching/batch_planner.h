// All that the scheduler decides, without threads, requests or a clock: who may wait, what runs
// next, and what to expect.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "server/batching/arrival_rate.h"
#include "server/batching/batch_policy.h"
#include "server/batching/batch_times.h"
#include "server/batching/batching_options.h"
#include "server/batching/deadline_reserve.h"
#include "server/batching/waiting_line.h"
#include "server/request/serving_core.h"

namespace reprise::server::batching {

struct PlannerRules {
  BatchLimits limits;
  LineRules line;
  int default_priority = 1;
  bool predict = true;  // refuse requests that would be late, keep batches in time
};

// The rules that a model's limits and options come to.
PlannerRules MakePlannerRules(const ModelLimits& limits, const BatchingOptions& options);

// The scheduler runs it with the machine's clock, the simulator with one of its own. Not
// thread-safe.
class BatchPlanner {
 public:
  // `times`: what is known of the executors already.
  BatchPlanner(PlannerRules rules, int executors, BatchTimes times = {});

  // The item waits from now on, or is refused since by prediction it would be done only after its
  // deadline, or too short before it: by so much. A priority that is no level counts as the
  // default. Never refused are items without a deadline, before anything was measured, and when an
  // executor is idle with nothing waiting: running it costs nobody, and measures. Requires: a new
  // item.id.
  std::optional<std::chrono::nanoseconds> Enter(QueuedItem item, std::string_view client,
                                                SteadyClock::time_point now);
  bool Remove(ItemId id) { return line_.Remove(id); }  // whether it still waited
  // Removes those whose deadline has come.
  std::vector<ItemId> TakeExpired(SteadyClock::time_point now);
  // Decides and removes the batch from what waits. Requires: TakeExpired was called for `now`.
  BatchDecision TakeBatch(int idle_executors, bool draining, SteadyClock::time_point now);

  // `executor` is a number from 0, below the number given to the constructor.
  void Started(int executor, std::int64_t tokens, SteadyClock::time_point now);
  void Finished(int executor);
  void Learn(std::int64_t tokens, std::chrono::nanoseconds took) { times_.Record(tokens, took); }

  // How long a request would wait that everything else here is served before; zero while nothing
  // was measured.
  std::chrono::nanoseconds PredictedWait(SteadyClock::time_point now) const;
  // How long until an executor takes the next batch, which makes room in the queue.
  std::chrono::nanoseconds PredictedRoom(SteadyClock::time_point now) const;

  SteadyClock::time_point next_deadline() const { return line_.next_deadline(); }
  bool empty() const { return line_.empty(); }
  const WaitingLine& line() const { return line_; }
  const BatchTimes& times() const { return times_; }

 private:
  const PlannerRules rules_;
  WaitingLine line_;
  BatchTimes times_;
  ArrivalRate arrivals_;
  DeadlineReserve reserve_;
  std::vector<SteadyClock::time_point> free_at_;  // by executor, predicted; min() when idle
};

}  // namespace reprise::server::batching
