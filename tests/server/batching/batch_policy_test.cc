#include "server/batching/batch_policy.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/batching/queued_items.h"

namespace reprise::server::batching {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using TimePoint = SteadyClock::time_point;

BatchLimits Limits() {
  return {.max_rows = 4, .max_tokens = 100, .max_score_bytes = 1000, .max_overtakes = 2};
}

QueuedItem Item(std::int64_t tokens, std::int64_t rows = 1, std::int64_t score_bytes = 1) {
  return {.rows = rows, .tokens = tokens, .score_bytes = score_bytes, .queued = kNow};
}

// One client's items, numbered from 0 in the order of the vector.
class Line {
 public:
  explicit Line(std::vector<QueuedItem> items) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].id = i;
      line_.Insert(items[i], "a");
    }
  }
  BatchDecision Decide(const BatchLimits& limits = Limits(), TimePoint now = kNow) const {
    return DecideBatch({.line = line_,
                        .idle_executors = 1,
                        .times = times_,
                        .tokens_per_second = tokens_per_second_},
                       limits, now);
  }
  const WaitingLine& line() const { return line_; }
  Line& Knowing(const BatchTimes& times) {
    times_ = &times;
    return *this;
  }
  Line& Under(double tokens_per_second) {
    tokens_per_second_ = tokens_per_second;
    return *this;
  }

 private:
  WaitingLine line_{FifoRules()};
  const BatchTimes* times_ = nullptr;
  double tokens_per_second_ = 0;
};

BatchDecision Decide(std::vector<QueuedItem> items, const BatchLimits& limits = Limits(),
                     TimePoint now = kNow) {
  return Line(std::move(items)).Decide(limits, now);
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
  EXPECT_THAT(due.batch, ElementsAre(1, 0));
  EXPECT_EQ(due.closed, BatchCloseReason::kDelay);
}

TEST(BatchPolicy, AFullBatchDoesNotWait) {
  BatchLimits limits = Limits();
  limits.max_delay = microseconds(500);
  EXPECT_EQ(Decide({Item(50), Item(50)}, limits).closed, BatchCloseReason::kTokens);
  EXPECT_EQ(Decide({Item(50), Item(60)}, limits).closed, BatchCloseReason::kTokens);
  EXPECT_EQ(Decide({Item(1, 4)}, limits).closed, BatchCloseReason::kRows);
}

TEST(BatchPolicy, DrainingDoesNotWait) {
  BatchLimits limits = Limits();
  limits.max_delay = milliseconds(500);
  const std::vector<QueuedItem> items = {Item(10)};
  const BatchDecision decision =
      DecideBatch({Line(items).line(), 1, /*draining=*/true}, limits, kNow);
  EXPECT_THAT(decision.batch, ElementsAre(0));
  EXPECT_EQ(decision.closed, BatchCloseReason::kDrain);
}

TEST(BatchPolicy, NothingRunsWhileAllExecutorsAreBusy) {
  const Line line({Item(100), Item(100)});
  const BatchDecision decision = DecideBatch({line.line(), 0, false}, Limits(), kNow);
  EXPECT_THAT(decision.batch, IsEmpty());
  EXPECT_EQ(decision.look_again, kNever);
}

TEST(BatchPolicy, LooksAtABoundedNumberInVain) {
  std::vector<QueuedItem> items(1000, Item(60));
  items.back() = Item(10);
  BatchLimits limits = Limits();
  limits.max_overtakes = 1'000'000;
  EXPECT_THAT(Decide(items, limits).batch, ElementsAre(0));
  items[40] = Item(10);
  EXPECT_THAT(Decide(items, limits).batch, ElementsAre(0, 40));
}

// 10 ms for each batch and 1 ms for each token.
BatchTimes Times() {
  BatchTimes times;
  times.Record(1, milliseconds(11));
  times.Record(101, milliseconds(111));
  return times;
}

QueuedItem Due(milliseconds deadline, std::int64_t tokens) {
  QueuedItem item = Item(tokens);
  item.deadline = kNow + deadline;
  return item;
}

TEST(BatchPolicyDeadline, ABatchClosesBeforeItMakesAMemberLate) {
  const BatchTimes times = Times();
  Line line({Due(milliseconds(50), 20), Item(15), Item(10), Item(5)});
  const BatchDecision decision = line.Knowing(times).Decide();
  EXPECT_THAT(decision.batch, ElementsAre(0, 1, 3));
  EXPECT_THAT(decision.overtaken, ElementsAre(2));
  EXPECT_EQ(decision.closed, BatchCloseReason::kDeadline);
}

TEST(BatchPolicyDeadline, WhatIsLateAnyhowDoesNotKeepTheBatchSmall) {
  const BatchTimes times = Times();
  Line line({Item(30), Due(milliseconds(35), 20), Item(5)});
  EXPECT_THAT(line.Knowing(times).Decide().batch, ElementsAre(0, 1, 2));
}

TEST(BatchPolicyDeadline, WhatCannotBeInTimeLetsTheOthersGoFirst) {
  const BatchTimes times = Times();
  Line line({Due(milliseconds(25), 20), Item(30), Due(milliseconds(19), 10)});
  const BatchDecision decision = line.Knowing(times).Decide();
  EXPECT_THAT(decision.batch, ElementsAre(1));
  EXPECT_THAT(decision.overtaken, IsEmpty());
}

TEST(BatchPolicyDeadline, AnIdleExecutorRunsWhatMayBeLateRatherThanNothing) {
  const BatchTimes times = Times();
  Line line({Due(milliseconds(25), 20), Due(milliseconds(19), 10)});
  EXPECT_THAT(line.Knowing(times).Decide().batch, ElementsAre(0, 1));
}

TEST(BatchPolicyDeadline, WaitingForCompanyEndsInTimeForTheDeadline) {
  const BatchTimes times = Times();
  BatchLimits limits = Limits();
  limits.max_delay = milliseconds(100);
  Line line({Item(10), Due(milliseconds(60), 10)});
  const BatchDecision early = line.Knowing(times).Decide(limits);
  EXPECT_THAT(early.batch, IsEmpty());
  // 30 ms of computing, and 2 ms for the way of the answer.
  EXPECT_EQ(early.look_again, kNow + milliseconds(28));
  const BatchDecision due = line.Decide(limits, kNow + milliseconds(28));
  EXPECT_THAT(due.batch, ElementsAre(0, 1));
  EXPECT_EQ(due.closed, BatchCloseReason::kDeadline);
}

// 80 ms for one member, against 10 ms for each of three who wait.
TEST(BatchPolicyCost, ALongRequestDoesNotJoinAFewShortOnes) {
  const BatchTimes times = Times();
  Line line({Item(10), Item(80), Item(10), Item(10)});
  const BatchDecision decision = line.Knowing(times).Decide();
  EXPECT_THAT(decision.batch, ElementsAre(0, 2, 3));
  EXPECT_THAT(decision.overtaken, ElementsAre(1));
  EXPECT_EQ(decision.closed, BatchCloseReason::kCost);
}

TEST(BatchPolicyCost, WithMoreWaitingABatchOfItsOwnWouldCostMore) {
  const BatchTimes times = Times();
  std::vector<QueuedItem> items(9, Item(10));
  items[1] = Item(80);
  EXPECT_THAT(Line(items).Knowing(times).Decide().batch, ElementsAre(0, 1, 2));
  items.pop_back();
  EXPECT_THAT(Line(items).Knowing(times).Decide().batch, ElementsAre(0, 2, 3, 4));
}

// A batch of its own would delay those who come meanwhile too: at 750 tokens a second of the 1000
// that can be served, four times as many as wait.
TEST(BatchPolicyCost, UnderLoadSavingCountsForThoseToComeAsWell) {
  const BatchTimes times = Times();
  Line line({Item(10), Item(80), Item(10), Item(10)});
  EXPECT_THAT(line.Knowing(times).Under(500).Decide().batch, ElementsAre(0, 2, 3));
  EXPECT_THAT(line.Under(750).Decide().batch, ElementsAre(0, 1, 2));
  EXPECT_THAT(line.Under(5000).Decide().batch, ElementsAre(0, 1, 2));
}

TEST(BatchPolicyCost, ALongRequestIsPassedNoMoreThanAnyOther) {
  const BatchTimes times = Times();
  std::vector<QueuedItem> items = {Item(10), Item(80), Item(10)};
  items[1].overtaken = 2;
  EXPECT_THAT(Line(items).Knowing(times).Decide().batch, ElementsAre(0));
}

TEST(BatchPolicyCost, DelaysThatNobodyNoticesDoNotSplitABatch) {
  BatchTimes times;
  times.Record(100, microseconds(100));
  EXPECT_THAT(Line({Item(10), Item(80), Item(10)}).Knowing(times).Decide().batch,
              ElementsAre(0, 1, 2));
}

TEST(BatchPolicyDeadline, WithoutMeasurementsDeadlinesDoNotMatter) {
  const BatchTimes nothing;
  Line line({Due(milliseconds(1), 20), Item(30)});
  EXPECT_THAT(line.Knowing(nothing).Decide().batch, ElementsAre(0, 1));
}

// One executor that takes `service` per batch, requests arriving by the clock: the whole course of
// a queue as text, one line per batch, "time us: ids by reason".
std::vector<std::string> Trace(std::vector<QueuedItem> arrivals, const BatchLimits& limits,
                               microseconds service) {
  std::vector<std::string> lines;
  WaitingLine queue(FifoRules());
  TimePoint now = kNow;
  TimePoint free_at = kNow;
  std::size_t arrived = 0;
  while (arrived < arrivals.size() || !queue.empty()) {
    for (; arrived < arrivals.size() && arrivals[arrived].queued <= now; ++arrived) {
      arrivals[arrived].id = arrived;
      queue.Insert(arrivals[arrived], "a");
    }
    std::string line =
        absl::StrCat(std::chrono::duration_cast<microseconds>(now - kNow).count(), ":");
    const std::size_t without_event = line.size();
    for (const ItemId id : queue.Expired(now)) {
      queue.Remove(id);
      absl::StrAppend(&line, " -", id);
    }
    const BatchDecision decision = DecideBatch({queue, free_at <= now, false}, limits, now);
    queue.Apply(decision.rounds);
    for (const ItemId id : decision.overtaken) queue.CountOvertaken(id);
    for (const ItemId id : decision.batch) {
      queue.Remove(id);
      absl::StrAppend(&line, " ", id);
    }
    if (line.size() > without_event) lines.push_back(line);
    if (!decision.batch.empty()) free_at = now + service;
    TimePoint next = std::min(decision.look_again, queue.next_deadline());
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
