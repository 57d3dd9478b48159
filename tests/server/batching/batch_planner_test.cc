#include "server/batching/batch_planner.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

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

PlannerRules Rules() {
  return {.limits = {.max_rows = 4, .max_tokens = 100, .max_score_bytes = 1000, .max_overtakes = 2},
          .line = {.priority_levels = 3,
                   .ageing = milliseconds(100),
                   .ordering_horizon = milliseconds(50),
                   .turn_tokens = 20,
                   .max_clients = 3},
          .default_priority = 2};
}

BatchTimes MillisecondPerToken() {
  BatchTimes times;
  times.Record(50, milliseconds(50));
  return times;
}

QueuedItem Due(ItemId id, std::int64_t tokens, milliseconds deadline) {
  QueuedItem item = OneRow(id, tokens);
  item.deadline = kNow + deadline;
  return item;
}

TEST(BatchPlanner, UnknownPrioritiesAreTheDefault) {
  BatchPlanner planner(Rules(), 1);
  const int asked[] = {0, 3, 99, 1, 2};
  for (ItemId id = 0; id < 5; ++id) {
    QueuedItem item = OneRow(id, 1);
    item.priority = asked[id];
    planner.Enter(item, "a", kNow);
  }
  EXPECT_THAT(planner.TakeBatch(1, false, kNow).batch, ElementsAre(3, 0, 2, 4));
}

TEST(BatchPlanner, ExpiredRequestsLeaveAndNeverRun) {
  BatchPlanner planner(Rules(), 1);
  planner.Enter(Due(0, 10, milliseconds(5)), "a", kNow);
  planner.Enter(OneRow(1, 10), "a", kNow);
  EXPECT_EQ(planner.next_deadline(), kNow + milliseconds(5));
  EXPECT_THAT(planner.TakeExpired(kNow + milliseconds(4)), IsEmpty());
  EXPECT_THAT(planner.TakeExpired(kNow + milliseconds(5)), ElementsAre(0));
  EXPECT_THAT(planner.TakeBatch(1, false, kNow + milliseconds(5)).batch, ElementsAre(1));
}

TEST(BatchPlanner, RemovedRequestsNeverRun) {
  BatchPlanner planner(Rules(), 1);
  planner.Enter(OneRow(0, 10), "a", kNow);
  EXPECT_TRUE(planner.Remove(0));
  EXPECT_FALSE(planner.Remove(0));
  EXPECT_THAT(planner.TakeBatch(1, false, kNow).batch, IsEmpty());
}

TEST(BatchPlanner, RefusesWhatWouldBeLate) {
  BatchPlanner planner(Rules(), 1, MillisecondPerToken());
  planner.Started(0, 40, kNow);
  EXPECT_FALSE(planner.Enter(OneRow(0, 30), "a", kNow).has_value());
  // 40 ms for what runs, 30 ms ahead, 20 ms of its own, and 2 ms for those 50 tokens a second that
  // may join meanwhile.
  EXPECT_EQ(planner.Enter(Due(1, 20, milliseconds(60)), "a", kNow), milliseconds(32));
  EXPECT_EQ(planner.line().size(), 1u);
  EXPECT_FALSE(planner.Enter(Due(2, 20, milliseconds(95)), "a", kNow).has_value());
  EXPECT_EQ(planner.line().size(), 2u);
}

TEST(BatchPlanner, KeepsTimeInReserveAfterAnAdmittedRequestExpired) {
  BatchPlanner planner(Rules(), 1, MillisecondPerToken());
  planner.Started(0, 40, kNow);
  // 40 ms for what runs, 20 ms of its own, 1 ms for those 20 tokens a second that may join.
  EXPECT_FALSE(planner.Enter(Due(0, 20, milliseconds(61)), "a", kNow).has_value());
  planner.Remove(0);
  EXPECT_FALSE(planner.Enter(Due(1, 20, milliseconds(70)), "a", kNow).has_value());
  EXPECT_THAT(planner.TakeExpired(kNow + milliseconds(70)), ElementsAre(1));
  const TimePoint later = kNow + std::chrono::seconds(10);  // nobody has come for long
  planner.Started(0, 40, later);
  QueuedItem item = Due(2, 20, milliseconds(10'061));
  EXPECT_TRUE(planner.Enter(item, "a", later).has_value());
  item.deadline += milliseconds(2);
  EXPECT_FALSE(planner.Enter(item, "a", later).has_value());
}

TEST(BatchPlanner, ABatchThatOnlyEndsItsWaitForCompanyIsNoPressure) {
  PlannerRules rules = Rules();
  rules.limits.max_delay = milliseconds(100);
  BatchTimes times;  // company pays: 11 ms for one token, 30 for twenty
  times.Record(1, milliseconds(11));
  times.Record(20, milliseconds(30));
  const auto admitted_after = [&](std::int64_t left_behind) {
    BatchPlanner planner(rules, 1, times);
    planner.Enter(Due(0, 10, milliseconds(25)), "a", kNow);
    if (left_behind > 0) planner.Enter(OneRow(1, left_behind), "a", kNow);
    const TimePoint due = kNow + milliseconds(4);
    const BatchDecision decision = planner.TakeBatch(1, false, due);
    EXPECT_EQ(decision.closed, BatchCloseReason::kDeadline);
    EXPECT_THAT(decision.batch, ElementsAre(0));
    planner.Remove(1);
    // 20 ms for what runs and 30 ms of its own: in time by 1 ms, which is less than any reserve.
    const TimePoint later = due + std::chrono::seconds(10);
    planner.Started(0, 10, later);
    QueuedItem item = OneRow(2, 20);
    item.deadline = later + milliseconds(51);
    return !planner.Enter(item, "a", later).has_value();
  };
  EXPECT_TRUE(admitted_after(0));
  EXPECT_FALSE(admitted_after(80));
}

TEST(BatchPlanner, CountsOnlyWhatGoesBefore) {
  BatchPlanner planner(Rules(), 1, MillisecondPerToken());
  planner.Started(0, 10, kNow);
  for (ItemId id = 0; id < 10; ++id) {
    QueuedItem item = OneRow(id, 20);
    item.priority = 2;
    planner.Enter(item, "a", kNow);
  }
  QueuedItem urgent = Due(10, 10, milliseconds(25));
  urgent.priority = 2;
  EXPECT_TRUE(planner.Enter(urgent, "b", kNow).has_value());  // a's turn goes first
  urgent.priority = 1;
  EXPECT_FALSE(planner.Enter(urgent, "b", kNow).has_value());
}

TEST(BatchPlanner, NeverRefusesWithoutADeadlineOrAMeasurementOrWhenSwitchedOff) {
  const QueuedItem hopeless = Due(9, 20, milliseconds(1));
  BatchPlanner known(Rules(), 1, MillisecondPerToken());
  known.Started(0, 100, kNow);
  EXPECT_FALSE(known.Enter(OneRow(0, 20), "a", kNow).has_value());
  EXPECT_TRUE(known.Enter(hopeless, "a", kNow).has_value());

  BatchPlanner unknown(Rules(), 1);
  unknown.Started(0, 100, kNow);
  EXPECT_FALSE(unknown.Enter(hopeless, "a", kNow).has_value());

  PlannerRules rules = Rules();
  rules.predict = false;
  BatchPlanner off(rules, 1, MillisecondPerToken());
  off.Started(0, 100, kNow);
  EXPECT_FALSE(off.Enter(hopeless, "a", kNow).has_value());
}

// A wrong prediction must not keep the machine idle for ever: what runs corrects it.
TEST(BatchPlanner, AnIdleExecutorRunsWhatMayBeLateAndLearns) {
  BatchTimes times;
  times.Record(20, milliseconds(500));
  BatchPlanner planner(Rules(), 1, times);
  EXPECT_FALSE(planner.Enter(Due(0, 20, milliseconds(40)), "a", kNow).has_value());
  EXPECT_THAT(planner.TakeBatch(1, false, kNow).batch, ElementsAre(0));
  planner.Started(0, 20, kNow);
  EXPECT_TRUE(planner.Enter(Due(1, 20, milliseconds(40)), "a", kNow).has_value());
  planner.Finished(0);
  planner.Learn(20, milliseconds(5));
  planner.Started(0, 20, kNow);
  EXPECT_FALSE(planner.Enter(Due(2, 20, milliseconds(40)), "a", kNow).has_value());
}

TEST(BatchPlanner, PredictsWaitAndRoom) {
  BatchPlanner planner(Rules(), 2, MillisecondPerToken());
  EXPECT_EQ(planner.PredictedWait(kNow).count(), 0);
  EXPECT_EQ(planner.PredictedRoom(kNow).count(), 0);
  planner.Started(0, 60, kNow);
  EXPECT_EQ(planner.PredictedRoom(kNow).count(), 0);
  planner.Started(1, 30, kNow);
  EXPECT_EQ(planner.PredictedRoom(kNow), milliseconds(30));
  for (ItemId id = 0; id < 5; ++id) planner.Enter(OneRow(id, 25), "a", kNow);
  // A full batch goes to the second executor at 30 ms, so the rest to the first at 60 ms.
  EXPECT_EQ(planner.PredictedWait(kNow), milliseconds(60));
  EXPECT_EQ(planner.PredictedWait(kNow + milliseconds(10)), milliseconds(50));
}

// Random arrivals through several executors, each step checked.
class RandomCourse {
 public:
  RandomCourse(std::uint64_t seed, bool predict, double load) : random_(seed) {
    rules_ = Rules();
    rules_.predict = predict;
    mean_gap_ = microseconds(static_cast<int>(400 / load));
  }

  void Run(int requests) {
    BatchPlanner planner(rules_, kExecutors);
    TimePoint now = kNow, next_arrival = kNow;
    std::vector<TimePoint> free_at(kExecutors, kNow);
    std::vector<std::int64_t> running(kExecutors, 0);
    while (arrived_ < requests || !planner.empty()) {
      for (; arrived_ < requests && next_arrival <= now; ++arrived_) {
        Arrive(&planner, next_arrival);
        next_arrival +=
            microseconds(std::uniform_int_distribution<>(0, 2 * Us(mean_gap_))(random_));
      }
      for (const ItemId id : planner.TakeExpired(now)) Leave(id, /*expired=*/true, now);
      int idle = 0;
      for (int i = 0; i < kExecutors; ++i) {
        if (free_at[i] > now) continue;
        ++idle;
        if (running[i] == 0) continue;
        planner.Finished(i);
        planner.Learn(running[i], Service(running[i]));
        running[i] = 0;
      }
      for (int i = 0; i < kExecutors; ++i) {
        if (free_at[i] > now) continue;
        const BatchDecision decision = planner.TakeBatch(idle--, false, now);
        if (decision.batch.empty()) break;
        CheckBatch(decision, now);
        running[i] = decision.tokens;
        free_at[i] = now + Service(decision.tokens);
        planner.Started(i, decision.tokens, now);
      }
      TimePoint next =
          std::min(*std::min_element(free_at.begin(), free_at.end()), planner.next_deadline());
      if (arrived_ < requests) next = std::min(next, next_arrival);
      for (const TimePoint time : free_at) {
        if (time > now) next = std::min(next == kNow ? time : next, time);
      }
      now = std::max(now + microseconds(1), next);
    }
    EXPECT_TRUE(waiting_.empty()) << waiting_.size() << " lost";
    EXPECT_EQ(run_ + expired_ + refused_, requests);
    EXPECT_EQ(planner.line().tokens(), 0);
    EXPECT_EQ(planner.line().rows(), 0);
  }

  int run() const { return run_; }
  int expired() const { return expired_; }
  int refused() const { return refused_; }
  milliseconds longest_wait() const {
    return std::chrono::duration_cast<milliseconds>(longest_wait_);
  }

 private:
  static constexpr int kExecutors = 2;
  static int Us(microseconds time) { return static_cast<int>(time.count()); }
  static microseconds Service(std::int64_t tokens) { return microseconds(200 + 20 * tokens); }

  struct Waiting {
    QueuedItem item;
    std::string client;
  };

  void Arrive(BatchPlanner* planner, TimePoint now) {
    QueuedItem item = OneRow(arrived_, std::uniform_int_distribution<>(1, 60)(random_));
    item.rows = std::uniform_int_distribution<>(1, 3)(random_);
    item.score_bytes = item.tokens * item.tokens;  // up to 3600: some exceed the limit alone
    item.queued = now;
    item.priority = std::uniform_int_distribution<>(1, 3)(random_);
    if (std::bernoulli_distribution(0.4)(random_)) {
      item.deadline = now + microseconds(std::uniform_int_distribution<>(1, 30'000)(random_));
    }
    const std::string client(1, "abcde"[std::uniform_int_distribution<>(0, 4)(random_)]);
    if (planner->Enter(item, client, now).has_value()) {
      EXPECT_NE(item.deadline, kNever);
      ++refused_;
    } else {
      waiting_[item.id] = {item, client};
    }
  }

  void Leave(ItemId id, bool expired, TimePoint now) {
    const auto found = waiting_.find(id);
    ASSERT_NE(found, waiting_.end()) << id << " left twice, or was never there";
    EXPECT_EQ(found->second.item.deadline <= now, expired);
    longest_wait_ = std::max(longest_wait_, now - found->second.item.queued);
    ++(expired ? expired_ : run_);
    waiting_.erase(found);
  }

  void CheckBatch(const BatchDecision& decision, TimePoint now) {
    QueuedItem sum;
    for (const ItemId id : decision.batch) {
      ASSERT_EQ(waiting_.count(id), 1u);
      const QueuedItem& item = waiting_[id].item;
      sum.rows += item.rows;
      sum.tokens += item.tokens;
      sum.score_bytes += item.score_bytes;
    }
    EXPECT_EQ(sum.tokens, decision.tokens);
    if (decision.batch.size() > 1) {
      EXPECT_LE(sum.rows, rules_.limits.max_rows);
      EXPECT_LE(sum.tokens, rules_.limits.max_tokens);
      EXPECT_LE(sum.score_bytes, rules_.limits.max_score_bytes);
    }
    CheckOrderWithinClients(decision);
    for (const ItemId id : decision.overtaken) {
      EXPECT_LE(++overtaken_[id], rules_.limits.max_overtakes);
    }
    for (const ItemId id : decision.batch) Leave(id, /*expired=*/false, now);
  }

  // Of one client and one level, and untouched by sharing or ageing, the batch takes the first,
  // except for those it says were overtaken, and those that could not be in time.
  void CheckOrderWithinClients(const BatchDecision& decision) {
    if (rules_.predict) return;
    const std::set<ItemId> overtaken(decision.overtaken.begin(), decision.overtaken.end());
    const std::set<ItemId> taken(decision.batch.begin(), decision.batch.end());
    std::set<std::string> clients;
    for (const auto& [id, waiting] : waiting_) clients.insert(waiting.client);
    if (clients.size() > rules_.line.max_clients) return;
    for (const ItemId id : decision.batch) {
      const Waiting& later = waiting_[id];
      for (const auto& [other, earlier] : waiting_) {
        if (taken.count(other) > 0 || overtaken.count(other) > 0) continue;
        if (earlier.client != later.client || earlier.item.priority != 1 ||
            later.item.priority != 1) {
          continue;
        }
        EXPECT_LT(Place(later.item, rules_.line.ordering_horizon),
                  Place(earlier.item, rules_.line.ordering_horizon))
            << "request " << id << " before " << other;
      }
    }
  }

  PlannerRules rules_;
  std::mt19937_64 random_;
  microseconds mean_gap_{0};
  int arrived_ = 0;
  int run_ = 0;
  int expired_ = 0;
  int refused_ = 0;
  std::chrono::nanoseconds longest_wait_{0};
  std::map<ItemId, Waiting> waiting_;
  std::map<ItemId, int> overtaken_;
};

TEST(BatchPlannerProperties, NothingIsLostAndNoBudgetExceeded) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const bool predict : {false, true}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " predict " << predict);
      RandomCourse course(seed, predict, /*load=*/0.5 + 0.1 * static_cast<double>(seed));
      course.Run(400);
      EXPECT_GT(course.run(), 100);
    }
  }
}

// Below capacity even the lowest priority, the largest requests and the rarest clients get on.
TEST(BatchPlannerProperties, NothingStarves) {
  for (std::uint64_t seed = 100; seed < 110; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    RandomCourse course(seed, /*predict=*/false, /*load=*/0.6);
    course.Run(2000);
    EXPECT_LT(course.longest_wait(), milliseconds(400));
  }
}

// A stream of the highest priority that alone keeps the executor busy: the rest lives by ageing.
TEST(BatchPlannerProperties, AgeingEndsTheWaitOfALowPriority) {
  BatchPlanner planner(Rules(), 1);
  QueuedItem low = OneRow(0, 100);
  low.priority = 3;
  planner.Enter(low, "a", kNow);
  ItemId next_id = 1;
  TimePoint now = kNow;
  for (bool served = false; !served;) {
    for (int i = 0; i < 2; ++i) {
      QueuedItem high = OneRow(next_id++, 100);
      high.priority = 1;
      high.queued = now;
      planner.Enter(high, "a", now);
    }
    const BatchDecision decision = planner.TakeBatch(1, false, now);
    served = decision.batch.front() == 0;
    now += milliseconds(10);
    ASSERT_LT(now, kNow + milliseconds(300));
  }
  EXPECT_GE(now, kNow + milliseconds(200));
}

TEST(BatchPlannerProperties, ClientsShareByTokensWhateverTheySend) {
  BatchPlanner planner(Rules(), 1);
  ItemId next_id = 0;
  std::map<ItemId, std::pair<std::string, std::int64_t>> sent;
  const auto send = [&](const std::string& client, std::int64_t tokens) {
    sent[next_id] = {client, tokens};
    planner.Enter(OneRow(next_id++, tokens), client, kNow);
  };
  for (int i = 0; i < 2000; ++i) send("flood", 10);
  for (int i = 0; i < 400; ++i) send("large", 50);
  for (int i = 0; i < 1000; ++i) send("modest", 20);
  std::map<std::string, std::int64_t> served;
  for (int batch = 0; batch < 100; ++batch) {
    for (const ItemId id : planner.TakeBatch(1, false, kNow).batch) {
      served[sent[id].first] += sent[id].second;
    }
  }
  const std::int64_t total = served["flood"] + served["large"] + served["modest"];
  for (const auto& [client, tokens] : served) {
    EXPECT_NEAR(static_cast<double>(tokens) / static_cast<double>(total), 1.0 / 3, 0.04) << client;
  }
}

}  // namespace
}  // namespace reprise::server::batching
