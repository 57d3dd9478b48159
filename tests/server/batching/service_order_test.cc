#include "server/batching/service_order.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/batching/queued_items.h"

namespace reprise::server::batching {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Takes up to `count` requests that are not in `passed`, and removes them from the line.
std::vector<ItemId> Serve(WaitingLine* line, std::size_t count,
                          const std::set<ItemId>& passed = {}) {
  ServiceOrder order(*line);
  std::vector<ItemId> taken;
  while (taken.size() < count) {
    const QueuedItem* item = order.Next();
    if (item == nullptr) break;
    if (passed.count(item->id) > 0) continue;
    order.Take();
    taken.push_back(item->id);
  }
  line->Apply(order.Rounds());
  for (const ItemId id : taken) line->Remove(id);
  return taken;
}

LineRules TurnsOf(std::int64_t tokens) {
  LineRules rules = FifoRules();
  rules.turn_tokens = tokens;
  return rules;
}

TEST(ServiceOrder, EmptyLineHasNothing) {
  WaitingLine line(FifoRules());
  EXPECT_THAT(Serve(&line, 1), IsEmpty());
}

TEST(ServiceOrder, HigherLevelsGoFirst) {
  LineRules rules = TurnsOf(1);
  rules.priority_levels = 3;
  WaitingLine line(rules);
  for (const int priority : {3, 1, 2, 1}) {
    QueuedItem item = OneRow(line.size(), 1);
    item.priority = priority;
    line.Insert(item, "a");
  }
  EXPECT_THAT(Serve(&line, 9), ElementsAre(1, 3, 2, 0));
}

TEST(ServiceOrder, ClientsTakeTurnsByTokens) {
  WaitingLine line(TurnsOf(10));
  for (ItemId id = 0; id < 4; ++id) line.Insert(OneRow(id, 10), "large");
  for (ItemId id = 10; id < 16; ++id) line.Insert(OneRow(id, 5), "small");
  EXPECT_THAT(Serve(&line, 99), ElementsAre(0, 10, 11, 1, 12, 13, 2, 14, 15, 3));
}

TEST(ServiceOrder, ARequestLargerThanATurnWaitsForCredit) {
  WaitingLine line(TurnsOf(10));
  line.Insert(OneRow(0, 30), "a");
  line.Insert(OneRow(1, 30), "a");
  for (ItemId id = 10; id < 16; ++id) line.Insert(OneRow(id, 10), "b");
  EXPECT_THAT(Serve(&line, 99), ElementsAre(10, 11, 0, 12, 13, 14, 1, 15));
}

TEST(ServiceOrder, TurnsGoOnFromBatchToBatch) {
  WaitingLine line(TurnsOf(10));
  for (ItemId id = 0; id < 4; ++id) line.Insert(OneRow(id, 5), "a");
  for (ItemId id = 10; id < 14; ++id) line.Insert(OneRow(id, 5), "b");
  EXPECT_THAT(Serve(&line, 1), ElementsAre(0));
  EXPECT_THAT(Serve(&line, 2), ElementsAre(1, 10));
  EXPECT_THAT(Serve(&line, 2), ElementsAre(11, 2));
  EXPECT_THAT(Serve(&line, 9), ElementsAre(3, 12, 13));
}

TEST(ServiceOrder, AClientWhoseRequestsDidNotFitIsFirstNextTime) {
  WaitingLine line(TurnsOf(10));
  line.Insert(OneRow(0, 10), "a");
  line.Insert(OneRow(10, 10), "b");
  line.Insert(OneRow(20, 10), "c");
  line.Insert(OneRow(21, 10), "c");
  EXPECT_THAT(Serve(&line, 2, /*passed=*/{10}), ElementsAre(0, 20));
  EXPECT_THAT(Serve(&line, 9), ElementsAre(10, 21));
}

TEST(ServiceOrder, ALevelNobodyWasTakenFromStaysAsItIs) {
  WaitingLine line(TurnsOf(10));
  line.Insert(OneRow(0, 10), "a");
  line.Insert(OneRow(1, 10), "b");
  EXPECT_THAT(Serve(&line, 9, /*passed=*/{0, 1}), IsEmpty());
  EXPECT_EQ(line.levels()[0].clients.front().client, "a");
  EXPECT_EQ(line.levels()[0].clients.front().credit, 0);
}

TEST(ServiceOrder, CreditDoesNotOutliveTheWaitingRequests) {
  WaitingLine line(TurnsOf(10));
  line.Insert(OneRow(0, 1), "a");
  line.Insert(OneRow(1, 9), "b");
  EXPECT_THAT(Serve(&line, 1), ElementsAre(0));
  line.Insert(OneRow(2, 19), "a");  // with the nine left from its last turn it would fit one turn
  line.Insert(OneRow(3, 9), "b");
  EXPECT_THAT(Serve(&line, 9), ElementsAre(1, 3, 2));
}

}  // namespace
}  // namespace reprise::server::batching
