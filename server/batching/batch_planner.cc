#include "server/batching/batch_planner.h"

#include <algorithm>
#include <utility>

#include "server/batching/wait_forecast.h"

namespace reprise::server::batching {
namespace {

using TimePoint = SteadyClock::time_point;

constexpr TimePoint kIdle = TimePoint::min();
// Turns of the round robin in one full batch: more would be fairer within it, at the price of
// shorter runs of one client.
constexpr std::int64_t kTurnsPerBatch = 8;

// Whether a batch of twice as many tokens would take noticeably less for each of them.
bool GainsFromCompany(const BatchTimes& times, std::int64_t tokens) {
  constexpr double kNoticeable = 0.95;
  const auto once = times.Predict(tokens);
  return once.has_value() && *times.Predict(2 * tokens) < 2 * kNoticeable * *once;
}

}  // namespace

PlannerRules MakePlannerRules(const ModelLimits& limits, const BatchingOptions& options) {
  return {
      .limits = {.max_rows = limits.max_batch_size,
                 .max_tokens = limits.max_batch_tokens,
                 .max_score_bytes = limits.max_batch_score_bytes,
                 .max_delay = std::chrono::microseconds(limits.max_queue_delay_us),
                 .max_overtakes = options.max_overtakes},
      .line = {.priority_levels = limits.priority_levels,
               .ageing = options.priority_ageing,
               .ordering_horizon = options.ordering_horizon,
               .turn_tokens = std::max<std::int64_t>(1, limits.max_batch_tokens / kTurnsPerBatch),
               .max_clients = static_cast<std::size_t>(options.max_client_keys)},
      .default_priority = limits.default_priority,
      .predict = options.prediction};
}

BatchPlanner::BatchPlanner(PlannerRules rules, int executors, BatchTimes times)
    : rules_(rules), line_(rules.line), times_(times), free_at_(executors, kIdle) {}

std::optional<std::chrono::nanoseconds> BatchPlanner::Enter(QueuedItem item,
                                                            std::string_view client,
                                                            TimePoint now) {
  arrivals_.Record(item.tokens, now);
  if (item.priority < 1 || item.priority > rules_.line.priority_levels) {
    item.priority = rules_.default_priority;
  }
  const bool at_once =
      line_.empty() && std::find(free_at_.begin(), free_at_.end(), kIdle) != free_at_.end();
  if (rules_.predict && item.deadline != TimePoint::max() && !times_.empty() && !at_once) {
    line_.Age(now);
    const Forecast forecast = PredictRun({.line = line_,
                                          .item = item,
                                          .ahead = line_.Ahead(item, client),
                                          .tokens_per_second = arrivals_.TokensPerSecond(now),
                                          .limits = rules_.limits,
                                          .times = times_,
                                          .free_at = free_at_},
                                         now);
    const TimePoint latest = reserve_.Latest(item.deadline, now);
    if (forecast.finish > latest) return forecast.finish - latest;
  }
  line_.Insert(item, client);
  return std::nullopt;
}

std::vector<ItemId> BatchPlanner::TakeExpired(TimePoint now) {
  std::vector<ItemId> expired = line_.Expired(now);
  for (const ItemId id : expired) line_.Remove(id);
  if (!expired.empty()) reserve_.OnPressure();
  return expired;
}

BatchDecision BatchPlanner::TakeBatch(int idle_executors, bool draining, TimePoint now) {
  line_.Age(now);
  BatchDecision decision = DecideBatch({.line = line_,
                                        .idle_executors = idle_executors,
                                        .draining = draining,
                                        .times = rules_.predict ? &times_ : nullptr,
                                        .tokens_per_second = arrivals_.TokensPerSecond(now)},
                                       rules_.limits, now);
  // Not when all who wait are in it: then it only ends their wait for more.
  const bool left_some_behind = decision.batch.size() < line_.size();
  if (decision.closed == BatchCloseReason::kDeadline && left_some_behind) {
    if (GainsFromCompany(times_, decision.tokens)) reserve_.OnPressure();
  } else if (!decision.batch.empty()) {
    reserve_.OnRelief();
  }
  line_.Apply(decision.rounds);
  decision.rounds.clear();  // its names are about to go
  for (const ItemId id : decision.overtaken) line_.CountOvertaken(id);
  for (const ItemId id : decision.batch) line_.Remove(id);
  return decision;
}

void BatchPlanner::Started(int executor, std::int64_t tokens, TimePoint now) {
  // Unknown times count as none: at least it is not idle.
  free_at_[executor] = now + times_.PredictWithMargin(tokens).value_or(std::chrono::nanoseconds(0));
}

void BatchPlanner::Finished(int executor) { free_at_[executor] = kIdle; }

std::chrono::nanoseconds BatchPlanner::PredictedWait(TimePoint now) const {
  if (times_.empty()) return {};
  const Forecast forecast = PredictRun({.line = line_,
                                        .item = {},
                                        .ahead = {.waiting = line_.tokens()},
                                        .limits = rules_.limits,
                                        .times = times_,
                                        .free_at = free_at_},
                                       now);
  return forecast.start - now;
}

std::chrono::nanoseconds BatchPlanner::PredictedRoom(TimePoint now) const {
  return std::max(*std::min_element(free_at_.begin(), free_at_.end()), now) - now;
}

}  // namespace reprise::server::batching
