#include "server/request/open_calls.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Counts how often it was ended, and drained.
class CountingCall final : public OpenCall {
 public:
  CountingCall(std::atomic<int>* ended, std::atomic<int>* drained)
      : ended_(ended), drained_(drained) {}
  void End(const absl::Status&) override { ++*ended_; }
  void Drain() override { ++*drained_; }

 private:
  std::atomic<int>* ended_;
  std::atomic<int>* drained_;
};

class OpenCallsTest : public ::testing::Test {
 protected:
  std::shared_ptr<OpenCall> Call() { return std::make_shared<CountingCall>(&ended_, &drained_); }

  std::atomic<int> ended_{0};
  std::atomic<int> drained_{0};
  OpenCalls calls_;
};

TEST_F(OpenCallsTest, TakesNoneOnceClosed) {
  EXPECT_FALSE(calls_.closed());
  calls_.Close();
  EXPECT_TRUE(calls_.closed());
  EXPECT_FALSE(calls_.Add(Call()));
  EXPECT_TRUE(calls_.WaitUntilEmpty(SteadyClock::now()));
}

TEST_F(OpenCallsTest, KeepsACallAliveUntilItIsRemoved) {
  auto call = Call();
  const std::weak_ptr<OpenCall> weak = call;
  const OpenCall* key = call.get();
  ASSERT_TRUE(calls_.Add(std::move(call)));
  EXPECT_FALSE(weak.expired());
  calls_.Remove(key);
  EXPECT_TRUE(weak.expired());
}

TEST_F(OpenCallsTest, IgnoresTheRemovalOfAStranger) {
  const auto stranger = Call();
  calls_.Remove(stranger.get());
  EXPECT_TRUE(calls_.WaitUntilEmpty(SteadyClock::now()));
}

TEST_F(OpenCallsTest, WaitsNoLongerThanTold) {
  const auto call = Call();
  ASSERT_TRUE(calls_.Add(call));
  EXPECT_FALSE(calls_.WaitUntilEmpty(SteadyClock::now() + milliseconds(5)));
}

TEST_F(OpenCallsTest, EndsEveryOpenCall) {
  const auto first = Call();
  const auto second = Call();
  ASSERT_TRUE(calls_.Add(first));
  ASSERT_TRUE(calls_.Add(second));
  calls_.Remove(first.get());
  calls_.EndAll(absl::UnavailableError("bye"));
  EXPECT_EQ(ended_, 1);
}

TEST_F(OpenCallsTest, DrainsEveryOpenCallWhenItCloses) {
  ASSERT_TRUE(calls_.Add(Call()));
  ASSERT_TRUE(calls_.Add(Call()));
  calls_.Close();
  EXPECT_EQ(drained_, 2);
  EXPECT_EQ(ended_, 0);
}

TEST_F(OpenCallsTest, LosesNoCallBetweenThreads) {
  constexpr int kThreads = 4;
  std::atomic<int> added{0};
  std::atomic<int> removed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (true) {
        const auto call = Call();
        if (!calls_.Add(call)) return;
        ++added;
        calls_.Remove(call.get());
        ++removed;
      }
    });
  }
  while (added < 1000) std::this_thread::yield();
  calls_.EndAll(absl::UnavailableError("bye"));
  calls_.Close();
  EXPECT_TRUE(calls_.WaitUntilEmpty(SteadyClock::now() + seconds(10)));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(added, removed);
}

}  // namespace
}  // namespace reprise::server
