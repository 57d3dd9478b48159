#include "server/batching/waiting_line.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/batching/queued_items.h"

namespace reprise::server::batching {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// By level, client and place: "1 a: 0 1; 2 b: 3".
std::string Describe(const WaitingLine& line) {
  std::string text;
  for (std::size_t level = 0; level < line.levels().size(); ++level) {
    for (const ClientLine& client : line.levels()[level].clients) {
      if (!text.empty()) text += "; ";
      text += std::to_string(level + 1) + " " + client.client + ":";
      for (const auto& [place, item] : client.waiting) text += " " + std::to_string(item.id);
    }
  }
  return text;
}

QueuedItem WithDeadline(ItemId id, milliseconds deadline) {
  QueuedItem item = OneRow(id, 1);
  item.deadline = kNow + deadline;
  return item;
}

QueuedItem WithPriority(ItemId id, int priority, milliseconds queued = milliseconds(0)) {
  QueuedItem item = OneRow(id, 1);
  item.priority = priority;
  item.queued = kNow + queued;
  return item;
}

TEST(WaitingLine, OrdersAClientByDeadlineAndEqualOnesAsTheyCame) {
  LineRules rules = FifoRules();
  rules.ordering_horizon = std::chrono::seconds(1);
  WaitingLine line(rules);
  line.Insert(OneRow(0, 1), "a");
  line.Insert(WithDeadline(1, milliseconds(500)), "a");
  line.Insert(WithDeadline(2, milliseconds(100)), "a");
  line.Insert(WithDeadline(3, milliseconds(100)), "a");
  line.Insert(WithDeadline(4, milliseconds(2000)), "a");  // counts as one second
  EXPECT_EQ(Describe(line), "1 a: 2 3 1 0 4");
}

TEST(WaitingLine, WithoutHorizonIsFirstInFirstOut) {
  WaitingLine line(FifoRules());
  line.Insert(OneRow(0, 1), "a");
  line.Insert(WithDeadline(1, milliseconds(1)), "a");
  line.Insert(OneRow(2, 1), "a");
  EXPECT_EQ(Describe(line), "1 a: 0 1 2");
}

TEST(WaitingLine, KeepsLevelsAndClientsApart) {
  LineRules rules = FifoRules();
  rules.priority_levels = 2;
  WaitingLine line(rules);
  line.Insert(WithPriority(0, 2), "a");
  line.Insert(WithPriority(1, 1), "b");
  line.Insert(WithPriority(2, 2), "b");
  line.Insert(WithPriority(3, 2), "a");
  EXPECT_EQ(Describe(line), "1 b: 1; 2 a: 0 3; 2 b: 2");
}

TEST(WaitingLine, ForgetsWhatIsRemoved) {
  WaitingLine line(FifoRules());
  line.Insert(WithDeadline(0, milliseconds(5)), "a");
  line.Insert({.id = 1, .rows = 3, .tokens = 20, .score_bytes = 7}, "b");
  EXPECT_TRUE(line.Remove(0));
  EXPECT_FALSE(line.Remove(0));
  EXPECT_EQ(Describe(line), "1 b: 1");
  EXPECT_EQ(line.next_deadline(), kNever);
  EXPECT_EQ(line.rows(), 3);
  EXPECT_EQ(line.tokens(), 20);
  EXPECT_EQ(line.score_bytes(), 7);
  EXPECT_TRUE(line.Remove(1));
  EXPECT_TRUE(line.empty());
  EXPECT_EQ(line.tokens(), 0);
}

TEST(WaitingLine, KnowsWhoseDeadlineHasCome) {
  WaitingLine line(FifoRules());
  line.Insert(WithDeadline(0, milliseconds(9)), "a");
  line.Insert(WithDeadline(1, milliseconds(5)), "b");
  line.Insert(OneRow(2, 1), "a");
  EXPECT_EQ(line.next_deadline(), kNow + milliseconds(5));
  EXPECT_THAT(line.Expired(kNow + milliseconds(4)), IsEmpty());
  EXPECT_THAT(line.Expired(kNow + milliseconds(5)), ElementsAre(1));
  EXPECT_THAT(line.Expired(kNow + milliseconds(9)), ElementsAre(1, 0));
}

TEST(WaitingLine, AgeingLiftsARequestByOneLevelEachTime) {
  LineRules rules = FifoRules();
  rules.priority_levels = 3;
  rules.ageing = milliseconds(100);
  WaitingLine line(rules);
  line.Insert(WithPriority(0, 3), "a");
  line.Insert(WithPriority(1, 2, milliseconds(50)), "a");
  line.Age(kNow + milliseconds(99));
  EXPECT_EQ(Describe(line), "2 a: 1; 3 a: 0");
  line.Age(kNow + milliseconds(100));
  EXPECT_EQ(Describe(line), "2 a: 0 1");
  line.Age(kNow + milliseconds(150));
  EXPECT_EQ(Describe(line), "1 a: 1; 2 a: 0");
  line.Age(kNow + milliseconds(200));
  EXPECT_EQ(Describe(line), "1 a: 0 1");
  line.Age(kNow + std::chrono::hours(1));
  EXPECT_EQ(Describe(line), "1 a: 0 1");
}

TEST(WaitingLine, AgeingTakesSeveralStepsAtOnce) {
  LineRules rules = FifoRules();
  rules.priority_levels = 3;
  rules.ageing = milliseconds(100);
  WaitingLine line(rules);
  line.Insert(WithPriority(0, 3), "a");
  line.Age(kNow + milliseconds(250));
  EXPECT_EQ(Describe(line), "1 a: 0");
}

TEST(WaitingLine, ClientsBeyondTheBoundShareOneLine) {
  LineRules rules = FifoRules();
  rules.max_clients = 2;
  WaitingLine line(rules);
  line.Insert(OneRow(0, 1), "a");
  line.Insert(OneRow(1, 1), "b");
  line.Insert(OneRow(2, 1), "c");
  line.Insert(OneRow(3, 1), "d");
  line.Insert(OneRow(4, 1), "a");
  EXPECT_EQ(Describe(line), "1 a: 0 4; 1 b: 1; 1 : 2 3");
  line.Remove(1);
  line.Insert(OneRow(5, 1), "e");
  EXPECT_EQ(Describe(line), "1 a: 0 4; 1 : 2 3 5");
}

TEST(WaitingLine, AheadIsWhatIsServedBefore) {
  LineRules rules = FifoRules();
  rules.priority_levels = 2;
  rules.ordering_horizon = std::chrono::seconds(1);
  rules.turn_tokens = 10;
  WaitingLine line(rules);
  QueuedItem urgent = OneRow(0, 100);
  line.Insert(urgent, "a");
  for (ItemId id = 1; id <= 4; ++id) {
    QueuedItem item = OneRow(id, 20);
    item.priority = 2;
    item.queued += milliseconds(id);
    line.Insert(item, id <= 3 ? "a" : "b");
  }
  QueuedItem item = OneRow(9, 5);
  item.priority = 2;
  item.queued += milliseconds(10);
  EXPECT_EQ(line.Ahead(item, "a").waiting, 100 + 60 + 20);
  // For a newcomer the others go first by no more than its own tokens and a turn.
  EXPECT_EQ(line.Ahead(item, "c").waiting, 100 + 15 + 15);
  // In turn with a's 60 tokens, this request's and a turn, client b has 20 waiting.
  EXPECT_EQ(line.Ahead(item, "a").to_come, 60 + 5 + 10 - 20);
  EXPECT_EQ(line.Ahead(item, "c").to_come, 0);
  item.deadline = kNow + milliseconds(11);
  EXPECT_EQ(line.Ahead(item, "a").waiting, 100 + 0 + 15);
  item.priority = 1;
  item.deadline = kNever;
  EXPECT_EQ(line.Ahead(item, "c").waiting, 15);
}

}  // namespace
}  // namespace reprise::server::batching
