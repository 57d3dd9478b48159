#include "server/batching/batch_policy.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::batching {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using TimePoint = SteadyClock::time_point;

constexpr TimePoint kNow{std::chrono::hours(1)};
constexpr TimePoint kNever = TimePoint::max();

BatchLimits Limits() {
  return {.max_rows = 4, .max_tokens = 100, .max_score_bytes = 1000, .max_overtakes = 2};
}

QueuedItem Item(std::int64_t tokens, std::int64_t rows = 1, std::int64_t score_bytes = 1) {
  return {.rows = rows, .tokens = tokens, .score_bytes = score_bytes, .queued = kNow};
}

BatchDecision Decide(const std::vector<QueuedItem>& items, const BatchLimits& limits = Limits(),
                     TimePoint now = kNow) {
  return DecideBatch({items, /*idle_executors=*/1, /*draining=*/false}, limits, now);
}

TEST(BatchPolicy, EmptyQueueWaitsForAChange) {
  const BatchDecision decision = Decide({});
  EXPECT_THAT(decision.batch, IsEmpty());
  EXPECT_EQ(decision.look_again, kNever);
}

TEST(BatchPolicy, IdleExecutorTakesWhatIsThere) {
  const BatchDecision decision = Decide({Item(10), Item(20)});
  EXPECT_THAT(decision.batch, ElementsAre(0, 1));
  EXPECT_EQ(decision.closed, BatchCloseReason::kIdle);
}

TEST(BatchPolicy, NothingRunsWhileAllExecutorsAreBusy) {
  std::vector<QueuedItem> items = {Item(100), Item(100)};
  items[1].deadline = kNow + milliseconds(7);
  const BatchDecision decision = DecideBatch({items, 0, false}, Limits(), kNow);
  EXPECT_THAT(decision.batch, IsEmpty());
  EXPECT_EQ(decision.look_again, kNow + milliseconds(7));
}

TEST(BatchPolicy, ClosesByTokens) {
  const BatchDecision decision = Decide({Item(60), Item(30), Item(20)});
  EXPECT_THAT(decision.batch, ElementsAre(0, 1));
  EXPECT_EQ(decision.closed, BatchCloseReason::kTokens);
}

TEST(BatchPolicy, ClosesByTokensWhenExactlyFull) {
  const BatchDecision decision = Decide({Item(60), Item(40)});
  EXPECT_THAT(decision.batch, ElementsAre(0, 1));
  EXPECT_EQ(decision.closed, BatchCloseReason::kTokens);
}

TEST(BatchPolicy, ClosesByRows) {
  const BatchDecision decision = Decide({Item(1, 2), Item(1, 2), Item(1, 1)});
  EXPECT_THAT(decision.batch, ElementsAre(0, 1));
  EXPECT_EQ(decision.closed, BatchCloseReason::kRows);
}

TEST(BatchPolicy, ClosesByScoreBytes) {
  const BatchDecision decision = Decide({Item(1, 1, 600), Item(1, 1, 600)});
  EXPECT_THAT(decision.batch, ElementsAre(0));
  EXPECT_EQ(decision.closed, BatchCloseReason::kScores);
}

TEST(BatchPolicy, RequestsAreNeverSplit) {
  EXPECT_THAT(Decide({Item(10, 3), Item(10, 3)}).batch, ElementsAre(0));
}

TEST(BatchPolicy, RequestBeyondALimitRunsAlone) {
  const BatchDecision decision = Decide({Item(1, 1, 5000), Item(1, 1, 1)});
  EXPECT_THAT(decision.batch, ElementsAre(0));
  EXPECT_EQ(decision.closed, BatchCloseReason::kScores);
}

TEST(BatchPolicy, LaterRequestsMayPassOneThatDoesNotFit) {
  const BatchDecision decision = Decide({Item(60), Item(50), Item(30), Item(20), Item(10)});
  EXPECT_THAT(decision.batch, ElementsAre(0, 2, 4));
  EXPECT_THAT(decision.overtaken, ElementsAre(1, 3));
  EXPECT_EQ(decision.closed, BatchCloseReason::kTokens);
}

TEST(BatchPolicy, OnlyThosePassedByALaterOneAreOvertaken) {
  const BatchDecision decision = Decide({Item(60), Item(50), Item(45)});
  EXPECT_THAT(decision.batch, ElementsAre(0));
  EXPECT_THAT(decision.overtaken, IsEmpty());
}

TEST(BatchPolicy, NobodyPassesARequestThatWasOvertakenOftenEnough) {
  std::vector<QueuedItem> items = {Item(60), Item(50), Item(30)};
  items[1].overtaken = 2;
  const BatchDecision decision = Decide(items);
  EXPECT_THAT(decision.batch, ElementsAre(0));
  EXPECT_EQ(decision.closed, BatchCloseReason::kTokens);
}

TEST(BatchPolicy, WithADelayTheOldestRequestWaitsForCompany) {
  BatchLimits limits = Limits();
  limits.max_delay = microseconds(500);
  std::vector<QueuedItem> items = {Item(10), Item(10)};
  items[0].queued = kNow + microseconds(50);
  const BatchDecision early = Decide(items, limits, kNow + microseconds(499));
  EXPECT_THAT(early.batch, IsEmpty());
  EXPECT_THAT(early.overtaken, IsEmpty());
  EXPECT_EQ(early.look_again, kNow + microseconds(500));
  const BatchDecision due = Decide(items, limits, kNow + microseconds(500));
  EXPECT_THAT(due.batch, ElementsAre(0, 1));
  EXPECT_EQ(due.closed, BatchCloseReason::kDelay);
}

TEST(BatchPolicy, AFullBatchDoesNotWait) {
  BatchLimits limits = Limits();
  limits.max_delay = microseconds(500);
  EXPECT_EQ(Decide({Item(50), Item(50)}, limits).closed, BatchCloseReason::kTokens);
  EXPECT_EQ(Decide({Item(50), Item(60)}, limits).closed, BatchCloseReason::kTokens);
  EXPECT_EQ(Decide({Item(1, 4)}, limits).closed, BatchCloseReason::kRows);
}

TEST(BatchPolicy, ADeadlineCutsTheWaitToLookAgain) {
  BatchLimits limits = Limits();
  limits.max_delay = microseconds(500);
  std::vector<QueuedItem> items = {Item(10)};
  items[0].deadline = kNow + microseconds(200);
  EXPECT_EQ(Decide(items, limits).look_again, kNow + microseconds(200));
}

TEST(BatchPolicy, DrainingDoesNotWait) {
  BatchLimits limits = Limits();
  limits.max_delay = milliseconds(500);
  const std::vector<QueuedItem> items = {Item(10)};
  const BatchDecision decision = DecideBatch({items, 1, /*draining=*/true}, limits, kNow);
  EXPECT_THAT(decision.batch, ElementsAre(0));
  EXPECT_EQ(decision.closed, BatchCloseReason::kDrain);
}

TEST(BatchPolicy, ExpiredAndCancelledRequestsNeverRun) {
  std::vector<QueuedItem> items = {Item(10), Item(10), Item(10)};
  items[0].deadline = kNow;
  items[1].cancelled = true;
  const BatchDecision decision = Decide(items);
  EXPECT_THAT(decision.abandoned, ElementsAre(0, 1));
  EXPECT_THAT(decision.batch, ElementsAre(2));
  const BatchDecision busy = DecideBatch({items, 0, false}, Limits(), kNow);
  EXPECT_THAT(busy.abandoned, ElementsAre(0, 1));
  EXPECT_THAT(busy.batch, IsEmpty());
}

TEST(BatchPolicy, OrderIsByDeadlineWithinTheHorizon) {
  QueuedItem none = Item(1);
  QueuedItem soon = Item(1);
  soon.queued = kNow + milliseconds(500);
  soon.deadline = kNow + milliseconds(600);
  QueuedItem late = Item(1);
  late.queued = kNow + milliseconds(999);
  late.deadline = kNow + milliseconds(1001);
  EXPECT_LT(OrderKey(soon, milliseconds(1000)), OrderKey(none, milliseconds(1000)));
  EXPECT_LT(OrderKey(none, milliseconds(1000)), OrderKey(late, milliseconds(1000)));
  EXPECT_LT(OrderKey(none, milliseconds(0)), OrderKey(soon, milliseconds(0)));  // FIFO
}

// One executor that takes `service` per batch, requests arriving by the clock: the whole course of
// a queue as text, one line per batch, "time us: ids by reason".
std::vector<std::string> Trace(std::vector<QueuedItem> arrivals, const BatchLimits& limits,
                               microseconds service) {
  struct Waiting {
    QueuedItem item;
    std::size_t id;
  };
  std::vector<std::string> lines;
  std::vector<Waiting> queue;
  TimePoint now = kNow;
  TimePoint free_at = kNow;
  std::size_t arrived = 0;
  while (arrived < arrivals.size() || !queue.empty()) {
    while (arrived < arrivals.size() && arrivals[arrived].queued <= now) {
      queue.push_back({arrivals[arrived], arrived});
      ++arrived;
    }
    std::vector<QueuedItem> items;
    for (const Waiting& waiting : queue) items.push_back(waiting.item);
    const BatchDecision decision = DecideBatch({items, free_at <= now, false}, limits, now);
    for (const std::size_t index : decision.overtaken) ++queue[index].item.overtaken;
    std::string line =
        absl::StrCat(std::chrono::duration_cast<microseconds>(now - kNow).count(), ":");
    for (const std::size_t index : decision.batch) absl::StrAppend(&line, " ", queue[index].id);
    for (const std::size_t index : decision.abandoned) {
      absl::StrAppend(&line, " -", queue[index].id);
    }
    std::vector<std::size_t> gone = decision.batch;
    gone.insert(gone.end(), decision.abandoned.begin(), decision.abandoned.end());
    std::sort(gone.rbegin(), gone.rend());
    for (const std::size_t index : gone) queue.erase(queue.begin() + index);
    if (!gone.empty()) lines.push_back(line);
    if (!decision.batch.empty()) free_at = now + service;
    TimePoint next = decision.look_again;
    if (arrived < arrivals.size()) next = std::min(next, arrivals[arrived].queued);
    if (free_at > now) next = std::min(next, free_at);
    now = std::max(now + microseconds(1), next);
  }
  return lines;
}

std::vector<QueuedItem> Arrivals(const std::vector<int>& at_us, std::int64_t tokens) {
  std::vector<QueuedItem> items;
  for (const int at : at_us) {
    items.push_back(Item(tokens));
    items.back().queued = kNow + microseconds(at);
  }
  return items;
}

TEST(BatchPolicyTrace, WorkConservingBatchesGrowWhileTheExecutorIsBusy) {
  EXPECT_THAT(Trace(Arrivals({0, 10, 20, 30, 95, 250}, 10), Limits(), microseconds(100)),
              ElementsAre("0: 0", "100: 1 2 3 4", "250: 5"));
}

TEST(BatchPolicyTrace, DelayGathersAtAnIdleExecutor) {
  BatchLimits limits = Limits();
  limits.max_delay = microseconds(40);
  EXPECT_THAT(Trace(Arrivals({0, 10, 39, 45, 200}, 10), limits, microseconds(30)),
              ElementsAre("40: 0 1 2", "85: 3", "240: 4"));
}

TEST(BatchPolicyTrace, AFullBatchLeavesBeforeItsDelay) {
  BatchLimits limits = Limits();
  limits.max_delay = microseconds(1000);
  EXPECT_THAT(Trace(Arrivals({0, 1, 2, 3, 4}, 25), limits, microseconds(10)),
              ElementsAre("3: 0 1 2 3", "1004: 4"));
}

TEST(BatchPolicyTrace, ExpiredRequestsLeaveOnTimeWhileTheExecutorIsBusy) {
  std::vector<QueuedItem> arrivals = Arrivals({0, 10, 20}, 10);
  arrivals[1].deadline = kNow + microseconds(60);
  EXPECT_THAT(Trace(arrivals, Limits(), microseconds(100)),
              ElementsAre("0: 0", "60: -1", "100: 2"));
}

TEST(BatchPolicyTrace, ALargeRequestIsPassedOnlyUntilItIsFirstInLine) {
  std::vector<QueuedItem> arrivals = Arrivals({0, 0, 0, 50, 50}, 60);
  arrivals[1].tokens = 100;
  arrivals[2].tokens = 40;
  arrivals[4].tokens = 40;
  EXPECT_THAT(Trace(arrivals, Limits(), microseconds(100)),
              ElementsAre("0: 0 2", "100: 1", "200: 3 4"));
}

TEST(BatchPolicyTrace, WithoutOvertakingBatchesKeepTheOrder) {
  std::vector<QueuedItem> arrivals = Arrivals({0, 0, 0, 50, 50}, 60);
  arrivals[1].tokens = 100;
  arrivals[2].tokens = 40;
  arrivals[4].tokens = 40;
  BatchLimits limits = Limits();
  limits.max_overtakes = 0;
  EXPECT_THAT(Trace(arrivals, limits, microseconds(100)),
              ElementsAre("0: 0", "100: 1", "200: 2 3", "300: 4"));
}

}  // namespace
}  // namespace reprise::server::batching
