#include "server/batching/admission.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fakes/fake_clock.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/status_matchers.h"

namespace reprise::server::batching {
namespace {

using ::reprise::server::testing::FakeClock;
using ::reprise::server::testing::FakeObserver;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr QueueDepth kBounds{
    .requests = 4, .rows = 8, .tokens = 100, .bytes = 1000, .score_bytes = 5000};

struct BoundCase {
  std::string option;
  std::int64_t QueueDepth::*amount;
  RefusalReason reason;
};

class BoundTest : public ::testing::TestWithParam<BoundCase> {};

TEST_P(BoundTest, AdmitsUpToTheBoundAndNoFurther) {
  const auto amount = GetParam().amount;
  const std::int64_t bound = kBounds.*amount;
  QueueDepth depth, cost;
  depth.*amount = bound - 2;
  cost.*amount = 2;
  EXPECT_TRUE(Admit(kBounds, depth, cost).ok());
  depth.*amount = bound - 1;
  const Verdict verdict = Admit(kBounds, depth, cost);
  EXPECT_THAT(verdict.status, StatusIs(absl::StatusCode::kResourceExhausted,
                                       AllOf(HasSubstr(GetParam().option), HasSubstr("full"))));
  EXPECT_EQ(verdict.reason, GetParam().reason);
}

TEST_P(BoundTest, WhatAnEmptyQueueCannotHoldIsInvalidAndNotWorthRetrying) {
  QueueDepth cost;
  cost.*GetParam().amount = kBounds.*GetParam().amount + 1;
  const Verdict verdict = Admit(kBounds, {}, cost);
  EXPECT_THAT(verdict.status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().option)));
  EXPECT_EQ(verdict.reason, RefusalReason::kTooLarge);
}

INSTANTIATE_TEST_SUITE_P(
    Admission, BoundTest,
    ::testing::Values(
        BoundCase{"max_queue_requests", &QueueDepth::requests, RefusalReason::kQueueRequests},
        BoundCase{"max_queue_rows", &QueueDepth::rows, RefusalReason::kQueueRows},
        BoundCase{"max_queue_tokens", &QueueDepth::tokens, RefusalReason::kQueueTokens},
        BoundCase{"max_queue_bytes", &QueueDepth::bytes, RefusalReason::kQueueBytes},
        BoundCase{"max_queue_score_bytes", &QueueDepth::score_bytes,
                  RefusalReason::kQueueScoreBytes}));

class LedgerTest : public ::testing::Test {
 protected:
  FakeObserver observer_;
  FakeClock clock_;
  QueueLedger ledger_{"m", "1", kBounds, observer_};
};

TEST_F(LedgerTest, TicketHoldsItsCostUntilItLeavesTheQueue) {
  QueueTicket ticket;
  ASSERT_TRUE(ledger_.Enter({.requests = 1, .rows = 2, .tokens = 30}, &ticket).ok());
  EXPECT_EQ(observer_.depth().tokens, 30);
  EXPECT_EQ(observer_.inflight(), 1);
  ticket.LeaveQueue();
  ticket.LeaveQueue();
  EXPECT_EQ(observer_.depth().requests, 0);
  EXPECT_EQ(observer_.depth().tokens, 0);
  EXPECT_EQ(ledger_.inflight(), 1);
}

TEST_F(LedgerTest, DestroyedTicketLeavesNothingBehind) {
  {
    QueueTicket ticket;
    ASSERT_TRUE(ledger_.Enter({.requests = 1, .rows = 8}, &ticket).ok());
    QueueTicket moved = std::move(ticket);
    EXPECT_EQ(ledger_.depth().rows, 8);
  }
  EXPECT_EQ(ledger_.depth().rows, 0);
  EXPECT_EQ(ledger_.inflight(), 0);
}

TEST_F(LedgerTest, RefusedEntryChangesNothing) {
  QueueTicket first, second;
  ASSERT_TRUE(ledger_.Enter({.requests = 1, .rows = 8}, &first).ok());
  EXPECT_EQ(ledger_.Enter({.requests = 1, .rows = 1}, &second).reason, RefusalReason::kQueueRows);
  EXPECT_EQ(ledger_.depth().requests, 1);
  EXPECT_EQ(ledger_.inflight(), 1);
}

TEST_F(LedgerTest, TicketGrowsByWhatBecomesKnownLater) {
  QueueTicket ticket;
  ASSERT_TRUE(ledger_.Enter({.requests = 1, .rows = 1}, &ticket).ok());
  ASSERT_TRUE(ticket.Grow({.tokens = 60}).ok());
  EXPECT_EQ(ticket.Grow({.tokens = 60}).reason, RefusalReason::kQueueTokens);
  EXPECT_EQ(ledger_.depth().tokens, 60);
  ticket.LeaveQueue();
  EXPECT_EQ(ledger_.depth().tokens, 0);
}

TEST_F(LedgerTest, AwaitIdleEndsWithTheLastTicketOrAtTheDeadline) {
  EXPECT_TRUE(ledger_.AwaitIdle(clock_, clock_.Now()));
  QueueTicket ticket;
  ASSERT_TRUE(ledger_.Enter({.requests = 1}, &ticket).ok());
  EXPECT_FALSE(ledger_.AwaitIdle(clock_, clock_.Now()));
  std::thread waiter(
      [this] { EXPECT_TRUE(ledger_.AwaitIdle(clock_, SteadyClock::time_point::max())); });
  { const QueueTicket end = std::move(ticket); }
  waiter.join();
}

TEST_F(LedgerTest, CountsAreRightAfterManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int round = 0; round < 1000; ++round) {
        QueueTicket ticket;
        if (!ledger_.Enter({.requests = 1, .rows = 3, .tokens = 10}, &ticket).ok()) continue;
        if (round % 2 == 0) ticket.LeaveQueue();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ledger_.depth().rows, 0);
  EXPECT_EQ(observer_.depth().tokens, 0);
  EXPECT_EQ(observer_.inflight(), 0);
}

}  // namespace
}  // namespace reprise::server::batching
