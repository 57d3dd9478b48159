#include "server/batching/request_queue.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::batching {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

constexpr SteadyClock::time_point kStart{std::chrono::hours(1)};

std::unique_ptr<BatchRequest> Request(
    std::string id, milliseconds queued,
    SteadyClock::time_point deadline = SteadyClock::time_point::max()) {
  auto request = std::make_unique<BatchRequest>();
  request->request = std::make_unique<InferenceRequest>();
  request->request->id = std::move(id);
  request->request->deadline = deadline;
  request->queued = kStart + queued;
  return request;
}

std::vector<std::string> Ids(const BatchRequests& requests) {
  std::vector<std::string> ids;
  for (const auto& request : requests) ids.push_back(request->request->id);
  return ids;
}

TEST(RequestQueue, ServesTheEarliestDeadlineFirstAndEqualOnesAsTheyCame) {
  RequestQueue queue(std::chrono::seconds(1));
  queue.Insert(Request("none", milliseconds(0)));
  queue.Insert(Request("late", milliseconds(1), kStart + milliseconds(500)));
  queue.Insert(Request("soon", milliseconds(2), kStart + milliseconds(100)));
  queue.Insert(Request("soon2", milliseconds(3), kStart + milliseconds(100)));
  EXPECT_THAT(Ids(queue.TakeAll()), ElementsAre("soon", "soon2", "late", "none"));
  EXPECT_TRUE(queue.empty());
}

TEST(RequestQueue, WithoutHorizonIsFirstInFirstOut) {
  RequestQueue queue(std::chrono::seconds(0));
  queue.Insert(Request("a", milliseconds(0)));
  queue.Insert(Request("b", milliseconds(0), kStart + milliseconds(1)));
  queue.Insert(Request("c", milliseconds(0)));
  EXPECT_THAT(Ids(queue.TakeAll()), ElementsAre("a", "b", "c"));
}

TEST(RequestQueue, TakesOutTwoSetsAndKeepsTheRestInOrder) {
  RequestQueue queue(std::chrono::seconds(1));
  for (const char* id : {"a", "b", "c", "d", "e"}) queue.Insert(Request(id, milliseconds(0)));
  queue.CountOvertaken(std::vector<std::size_t>{3});
  const RequestQueue::Taken taken =
      queue.Take(std::vector<std::size_t>{0, 4}, std::vector<std::size_t>{2});
  EXPECT_THAT(Ids(taken.first), ElementsAre("a", "e"));
  EXPECT_THAT(Ids(taken.second), ElementsAre("c"));
  ASSERT_EQ(queue.Look().size(), 2u);
  EXPECT_EQ(queue.Look()[1].overtaken, 1);
  EXPECT_THAT(Ids(queue.TakeAll()), ElementsAre("b", "d"));
}

TEST(RequestQueue, LookSeesCancellations) {
  RequestQueue queue(std::chrono::seconds(1));
  auto request = Request("a", milliseconds(0));
  const std::shared_ptr<Cancellation> cancellation = request->request->cancellation;
  queue.Insert(std::move(request));
  EXPECT_FALSE(queue.Look()[0].cancelled);
  cancellation->Cancel();
  EXPECT_TRUE(queue.Look()[0].cancelled);
}

}  // namespace
}  // namespace reprise::server::batching
