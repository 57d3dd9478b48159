#include "server/batching/scheduler.h"

#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/request/retry_hint.h"
#include "tests/server/fakes/answer.h"
#include "tests/server/fakes/fake_clock.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/fake_runner.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::batching {
namespace {

using ::reprise::server::testing::FakeClock;
using ::reprise::server::testing::FakeObserver;
using ::reprise::server::testing::FakeRunner;
using ::reprise::server::testing::Floats;
using ::reprise::server::testing::PendingAnswer;
using ::reprise::server::testing::RunnerControl;
using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr QueueDepth kBounds{
    .requests = 100000, .rows = 1000000, .tokens = 10000000, .bytes = 1, .score_bytes = 1000000000};

SchedulerConfig Config() {
  return {.model = "m",
          .version = "3",
          .rules = {.limits = {.max_rows = 4,
                               .max_tokens = 100,
                               .max_score_bytes = 100000,
                               .max_overtakes = 2},
                    .line = {.ordering_horizon = std::chrono::seconds(1),
                             .turn_tokens = 1000,
                             .max_clients = 10}}};
}

class SchedulerTest : public ::testing::Test {
 protected:
  void Start(SchedulerConfig config, int workers = 1) {
    std::vector<std::unique_ptr<BatchRunner>> runners;
    for (int i = 0; i < workers; ++i) runners.push_back(std::make_unique<FakeRunner>(control_));
    scheduler_ =
        std::make_unique<Scheduler>(std::move(config), std::move(runners), clock_, observer_);
  }

  // One row of `tokens` tokens, of which the first is `id` and the rest are 1.
  std::unique_ptr<BatchRequest> Request(std::int32_t id, int tokens = 1) {
    auto request = std::make_unique<BatchRequest>();
    request->request = std::make_unique<InferenceRequest>();
    request->request->id = absl::StrCat(id);
    request->rows.cu_seqlens = {0, tokens};
    request->rows.input_ids.assign(tokens, 1);
    request->rows.input_ids[0] = id;
    request->rows.token_type_ids.assign(tokens, 0);
    for (int t = 0; t < tokens; ++t) request->rows.position_ids.push_back(t);
    request->rows.padded_len = tokens;
    request->wanted = {{"sentence_embedding"}, {.sentence_embedding = true}};
    request->score_bytes = tokens * tokens;
    request->queued = clock_.Now();
    EXPECT_TRUE(ledger_.Enter({.requests = 1, .rows = 1, .tokens = tokens}, &request->ticket).ok());
    return request;
  }

  PendingAnswer Submit(std::unique_ptr<BatchRequest> request) {
    PendingAnswer answer;
    request->request->done = answer.callback();
    scheduler_->Submit(std::move(request));
    return answer;
  }

  // Occupies the only worker until control_->Release(), with a request of first token 1000.
  PendingAnswer KeepBusy() {
    control_->Hold();
    const std::size_t runs = control_->runs().size();
    PendingAnswer answer = Submit(Request(1000));
    control_->AwaitRuns(runs + 1);
    return answer;
  }

  FakeClock clock_;
  FakeObserver observer_;
  QueueLedger ledger_{"m", "3", kBounds, observer_};
  std::shared_ptr<RunnerControl> control_ = std::make_shared<RunnerControl>();
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, AnswersWithTheRequestsOwnRows) {
  Start(Config());
  const auto reply = Submit(Request(7, 3)).Await();
  ASSERT_OK(reply);
  EXPECT_EQ(reply->model_name, "m");
  EXPECT_EQ(reply->model_version, "3");
  EXPECT_EQ(reply->id, "7");
  EXPECT_EQ(reply->rows, 1);
  EXPECT_EQ(reply->tokens, 3);
  EXPECT_EQ(reply->timing.batch_tokens, 3);
  EXPECT_THAT(Floats(reply->outputs.at(0)), ElementsAre(9, 3));
}

TEST_F(SchedulerTest, RequestsThatArriveWhileBusyShareABatch) {
  Start(Config());
  const PendingAnswer first = KeepBusy();
  const PendingAnswer a = Submit(Request(1, 5)), b = Submit(Request(2, 6)), c = Submit(Request(3));
  control_->Release();
  EXPECT_EQ(a.Await()->timing.batch_rows, 3);
  EXPECT_EQ(b.Await()->timing.batch_tokens, 12);
  EXPECT_THAT(Floats(c.Await()->outputs.at(0)), ElementsAre(3, 1));
  EXPECT_THAT(control_->runs(), ElementsAre(ElementsAre(1000), ElementsAre(1, 2, 3)));
  EXPECT_THAT(observer_.batches(),
              ElementsAre(FakeObserver::Batch{1, 1, 1, BatchCloseReason::kIdle, false},
                          FakeObserver::Batch{3, 3, 12, BatchCloseReason::kIdle, false}));
}

TEST_F(SchedulerTest, EachRequestGetsOnlyTheOutputsItAskedFor) {
  Start(Config());
  const PendingAnswer first = KeepBusy();
  auto tokens = Request(5, 2);
  tokens->wanted = {{"last_hidden_state"}, {.last_hidden_state = true}};
  const PendingAnswer a = Submit(std::move(tokens)), b = Submit(Request(6));
  control_->Release();
  const auto reply = a.Await();
  ASSERT_EQ(reply->outputs.size(), 1u);
  EXPECT_THAT(Floats(reply->outputs[0]), ElementsAre(5, 1000, 1, 1001));
  EXPECT_EQ(b.Await()->outputs.size(), 1u);
}

TEST_F(SchedulerTest, BatchesKeepTheLimits) {
  Start(Config());
  const PendingAnswer first = KeepBusy();
  std::vector<PendingAnswer> answers;
  for (int id = 0; id < 10; ++id) answers.push_back(Submit(Request(id, 30)));
  control_->Release();
  for (const PendingAnswer& answer : answers) EXPECT_OK(answer.Await());
  EXPECT_THAT(control_->runs(),
              ElementsAre(ElementsAre(1000), ElementsAre(0, 1, 2), ElementsAre(3, 4, 5),
                          ElementsAre(6, 7, 8), ElementsAre(9)));
}

TEST_F(SchedulerTest, ExpiredRequestIsAnsweredWhileTheWorkerIsBusy) {
  Start(Config());
  const PendingAnswer busy = KeepBusy();
  auto request = Request(1);
  request->request->deadline = clock_.Now() + std::chrono::milliseconds(5);
  const PendingAnswer expired = Submit(std::move(request));
  EXPECT_EQ(expired.times(), 0);
  clock_.Advance(std::chrono::milliseconds(5));
  EXPECT_THAT(expired.Await(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_EQ(expired.refusal(), RefusalReason::kDeadline);
  EXPECT_EQ(observer_.depth().requests, 0);
  control_->Release();
  EXPECT_OK(busy.Await());
  EXPECT_EQ(control_->runs().size(), 1u);
}

TEST_F(SchedulerTest, CancelledRequestIsAnsweredWhileTheWorkerIsBusy) {
  Start(Config());
  const PendingAnswer busy = KeepBusy();
  auto request = Request(1);
  const std::shared_ptr<Cancellation> cancellation = request->request->cancellation;
  const PendingAnswer cancelled = Submit(std::move(request));
  cancellation->Cancel();  // the clock stands still: nobody polls
  EXPECT_THAT(cancelled.Await(), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(observer_.depth().tokens, 0);
  control_->Release();
  EXPECT_OK(busy.Await());
}

TEST_F(SchedulerTest, RequestCancelledBeforeItIsQueuedIsAnswered) {
  Start(Config());
  const PendingAnswer busy = KeepBusy();
  auto request = Request(1);
  request->request->cancellation->Cancel();
  EXPECT_THAT(Submit(std::move(request)).Await(), StatusIs(absl::StatusCode::kCancelled, _));
  control_->Release();
  EXPECT_OK(busy.Await());
}

TEST_F(SchedulerTest, RequestThatWouldBeLateIsRefusedAtOnce) {
  SchedulerConfig config = Config();
  config.times.Record(1, std::chrono::milliseconds(30));
  Start(config);
  const PendingAnswer busy = KeepBusy();
  auto request = Request(1);
  request->request->deadline = clock_.Now() + std::chrono::milliseconds(59);
  const PendingAnswer refused = Submit(std::move(request));
  EXPECT_EQ(refused.times(), 1);
  const absl::Status status = refused.Await().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("refused at once")));
  EXPECT_EQ(RetryHint(status), std::chrono::milliseconds(1));
  EXPECT_EQ(refused.refusal(), RefusalReason::kDeadline);
  request = Request(2);
  request->request->deadline = clock_.Now() + std::chrono::milliseconds(60);
  const PendingAnswer admitted = Submit(std::move(request));
  EXPECT_EQ(scheduler_->PredictedRoom(), std::chrono::milliseconds(30));
  control_->Release();
  EXPECT_OK(admitted.Await());
}

TEST_F(SchedulerTest, LearnsHowLongBatchesTake) {
  SchedulerConfig config = Config();
  config.rules.limits.max_rows = 1;
  Start(config);
  const PendingAnswer busy = KeepBusy();
  clock_.Advance(std::chrono::milliseconds(40));
  const PendingAnswer second = Submit(Request(1));
  control_->Release();
  EXPECT_OK(second.Await());
  const PendingAnswer again = KeepBusy();
  auto request = Request(2);
  request->request->deadline = clock_.Now() + std::chrono::milliseconds(1);
  // The first took 40 ms, the second none: the fastest of the first runs is believed.
  const PendingAnswer hopeful = Submit(std::move(request));
  EXPECT_EQ(hopeful.times(), 0);
  control_->Release();
  EXPECT_OK(hopeful.Await());
}

TEST_F(SchedulerTest, ReportsThePredictedWaitWithEachBatch) {
  SchedulerConfig config = Config();
  config.rules.limits.max_rows = 1;
  config.times.Record(10, std::chrono::milliseconds(20));
  Start(config);
  control_->Hold();
  const PendingAnswer a = Submit(Request(1, 10)), b = Submit(Request(2, 10)),
                      c = Submit(Request(3, 10));
  control_->Release();
  EXPECT_OK(a.Await());
  EXPECT_OK(b.Await());
  EXPECT_OK(c.Await());
  EXPECT_THAT(observer_.predicted_waits(), Contains(Gt(std::chrono::nanoseconds(0))));
  EXPECT_GE(observer_.predicted_waits().front(), observer_.predicted_waits().back());
}

TEST_F(SchedulerTest, HigherPrioritiesAndOtherClientsGoFirst) {
  SchedulerConfig config = Config();
  config.rules.limits.max_rows = 1;
  config.rules.line.priority_levels = 2;
  config.rules.line.turn_tokens = 1;
  config.rules.default_priority = 2;
  Start(config);
  const PendingAnswer busy = KeepBusy();
  std::vector<PendingAnswer> answers;
  for (int id = 1; id <= 3; ++id) answers.push_back(Submit(Request(id)));
  auto other = Request(4);
  other->request->client_key = "other";
  answers.push_back(Submit(std::move(other)));
  auto high = Request(5);
  high->request->priority = 1;
  answers.push_back(Submit(std::move(high)));
  control_->Release();
  for (const PendingAnswer& answer : answers) EXPECT_OK(answer.Await());
  EXPECT_THAT(control_->runs(), ElementsAre(ElementsAre(1000), ElementsAre(5), ElementsAre(1),
                                            ElementsAre(4), ElementsAre(2), ElementsAre(3)));
}

TEST_F(SchedulerTest, ResultOfARequestCancelledInItsBatchIsDropped) {
  Start(Config());
  control_->Hold();
  auto request = Request(1);
  const std::shared_ptr<Cancellation> cancellation = request->request->cancellation;
  const PendingAnswer answer = Submit(std::move(request));
  control_->AwaitRuns(1);
  cancellation->Cancel();
  control_->Release();
  EXPECT_THAT(answer.Await(), StatusIs(absl::StatusCode::kCancelled, _));
}

TEST_F(SchedulerTest, WithADelayTheBatchLeavesWhenItsTimeHasCome) {
  SchedulerConfig config = Config();
  config.rules.limits.max_delay = std::chrono::milliseconds(3);
  Start(config);
  const PendingAnswer a = Submit(Request(1));
  clock_.Advance(std::chrono::milliseconds(2));
  const PendingAnswer b = Submit(Request(2));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // nothing may happen
  EXPECT_THAT(control_->runs(), IsEmpty());
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(a.Await()->timing.batch_rows, 2);
  EXPECT_EQ(a.Await()->timing.queue, std::chrono::milliseconds(3));
  EXPECT_EQ(b.Await()->timing.queue, std::chrono::milliseconds(1));
  EXPECT_EQ(observer_.batches().at(0).closed, BatchCloseReason::kDelay);
}

TEST_F(SchedulerTest, FlushRunsWhatWaitsForCompany) {
  SchedulerConfig config = Config();
  config.rules.limits.max_delay = std::chrono::hours(1);
  Start(config);
  const PendingAnswer answer = Submit(Request(1));
  scheduler_->Flush();
  EXPECT_OK(answer.Await());
  EXPECT_EQ(observer_.batches().at(0).closed, BatchCloseReason::kDrain);
}

TEST_F(SchedulerTest, AFaultOfTheEngineFailsItsBatchOnly) {
  Start(Config());
  control_->FailFromNowOn();
  EXPECT_THAT(Submit(Request(1)).Await(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("device lost")));
  control_->Recover();
  EXPECT_OK(Submit(Request(2)).Await());
  EXPECT_TRUE(observer_.batches().at(0).failed);
  EXPECT_FALSE(observer_.batches().at(1).failed);
}

TEST_F(SchedulerTest, WhatTheEngineThrowsFailsItsBatchOnly) {
  Start(Config());
  control_->ThrowNext(std::make_exception_ptr(std::bad_alloc()));
  EXPECT_THAT(Submit(Request(1)).Await(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no memory")));
  control_->ThrowNext(std::make_exception_ptr(std::runtime_error("kernel gone")));
  EXPECT_THAT(Submit(Request(2)).Await(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("kernel gone")));
  control_->ThrowNext(std::make_exception_ptr(7));
  EXPECT_THAT(Submit(Request(3)).Await(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("unknown exception")));
  EXPECT_OK(Submit(Request(4)).Await());
  EXPECT_TRUE(observer_.batches().at(2).failed);
}

TEST_F(SchedulerTest, ShutdownFinishesWhatRunsAndRefusesWhatWaits) {
  Start(Config());
  const PendingAnswer running = KeepBusy();
  const PendingAnswer waiting = Submit(Request(1));
  std::thread stopper([this] { scheduler_->Shutdown(); });
  EXPECT_THAT(waiting.Await(), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_EQ(waiting.refusal(), RefusalReason::kDraining);
  control_->Release();
  EXPECT_OK(running.Await());
  stopper.join();
  EXPECT_THAT(Submit(Request(2)).Await(), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_EQ(ledger_.inflight(), 0);
}

TEST_F(SchedulerTest, HeartbeatFollowsTheClockEvenWhenIdle) {
  Start(Config());
  clock_.Advance(std::chrono::seconds(5));
  const SteadyClock::time_point expected = clock_.Now();
  for (int i = 0; i < 5000 && scheduler_->heartbeat() < expected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(scheduler_->heartbeat(), expected);
}

TEST_F(SchedulerTest, SeveralWorkersRunAtTheSameTime) {
  SchedulerConfig config = Config();
  config.rules.limits.max_rows = 1;
  Start(config, /*workers=*/3);
  control_->Hold();
  const PendingAnswer a = Submit(Request(1)), b = Submit(Request(2)), c = Submit(Request(3));
  control_->AwaitRuns(3);
  control_->Release();
  EXPECT_OK(a.Await());
  EXPECT_OK(b.Await());
  EXPECT_OK(c.Await());
}

// Counts how often each wait ends; waits are real, so a thread that nobody wakes stays asleep.
class CountingClock final : public Clock {
 public:
  SteadyClock::time_point Now() const override {
    return SteadyClock::time_point(std::chrono::hours(1));
  }
  void WaitUntil(std::condition_variable& condition, MutexLock& lock,
                 SteadyClock::time_point) override {
    ++waits_;
    condition.wait(lock.native());
    ++wakes_;
  }
  int waits() const { return waits_; }
  int wakes() const { return wakes_; }

 private:
  std::atomic<int> waits_ = 0;
  std::atomic<int> wakes_ = 0;
};

TEST_F(SchedulerTest, SubmittingWhileBusyWakesTheSweeperOnlyForAnEarlierDeadline) {
  CountingClock clock;
  std::vector<std::unique_ptr<BatchRunner>> runners;
  runners.push_back(std::make_unique<FakeRunner>(control_));
  scheduler_ = std::make_unique<Scheduler>(Config(), std::move(runners), clock, observer_);
  const PendingAnswer busy = KeepBusy();
  while (clock.waits() - clock.wakes() < 1) std::this_thread::yield();  // the sweeper sleeps
  const int before = clock.wakes();
  std::vector<PendingAnswer> answers;
  const auto submit = [&](std::chrono::milliseconds deadline) {
    auto request = Request(static_cast<int>(answers.size()));
    request->request->deadline = clock.Now() + deadline;
    answers.push_back(Submit(std::move(request)));
  };
  for (int i = 0; i < 50; ++i) submit(std::chrono::hours(1));  // it looks once a second anyhow
  EXPECT_EQ(clock.wakes(), before);
  submit(std::chrono::milliseconds(10));
  while (clock.wakes() == before) std::this_thread::yield();
  while (clock.waits() == clock.wakes()) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) submit(std::chrono::milliseconds(10 + i));
  EXPECT_EQ(clock.wakes(), before + 1);
  control_->Release();
  for (const PendingAnswer& answer : answers) EXPECT_OK(answer.Await());
  scheduler_.reset();
}

// Submits, cancels, expiries, faults and a shutdown in the middle, all at once.
TEST_F(SchedulerTest, EveryRequestIsAnsweredExactlyOnceInAStorm) {
  constexpr int kThreads = 4, kPerThread = 2000;
  SchedulerConfig config = Config();
  config.rules.limits.max_delay = std::chrono::microseconds(50);
  Start(config, /*workers=*/2);
  std::vector<std::atomic<int>> times(kThreads * kPerThread);
  std::atomic<bool> over = false;
  std::atomic<int> submitted = 0;

  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kPerThread; ++i) {
        const int number = thread * kPerThread + i;
        auto request = Request(number, 1 + number % 40);
        request->request->done = [&times, number](const auto&, RefusalReason) { ++times[number]; };
        if (number % 3 == 0) {
          request->request->deadline = clock_.Now() + std::chrono::microseconds(number % 100);
        }
        const std::shared_ptr<Cancellation> cancellation = request->request->cancellation;
        scheduler_->Submit(std::move(request));
        if (number % 5 == 0) cancellation->Cancel();
        ++submitted;
      }
    });
  }
  threads.emplace_back([&] {
    while (!over) {
      clock_.Advance(std::chrono::microseconds(20));
      control_->FailFromNowOn();
      control_->Recover();
    }
  });
  while (submitted < kThreads * kPerThread * 3 / 4) std::this_thread::yield();
  scheduler_->Shutdown();
  for (int thread = 0; thread < kThreads; ++thread) threads[thread].join();
  over = true;
  threads.back().join();

  for (std::size_t i = 0; i < times.size(); ++i) ASSERT_EQ(times[i], 1) << "request " << i;
  EXPECT_EQ(ledger_.inflight(), 0);
  EXPECT_EQ(observer_.depth().requests, 0);
  EXPECT_EQ(observer_.depth().tokens, 0);
}

}  // namespace
}  // namespace reprise::server::batching
