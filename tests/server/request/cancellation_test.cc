#include "server/request/cancellation.h"

#include <atomic>
#include <memory>
#include <thread>

#include "gtest/gtest.h"

namespace reprise::server {
namespace {

TEST(Cancellation, TellsItsListenerOnce) {
  Cancellation cancellation;
  int told = 0;
  cancellation.Listen([&told] { ++told; });
  EXPECT_FALSE(cancellation.cancelled());
  cancellation.Cancel();
  cancellation.Cancel();
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_EQ(told, 1);
}

TEST(Cancellation, TellsALateListenerAtOnce) {
  Cancellation cancellation;
  cancellation.Cancel();
  int told = 0;
  cancellation.Listen([&told] { ++told; });
  EXPECT_EQ(told, 1);
}

TEST(Cancellation, TellsNobodyWhoHasStoppedListening) {
  Cancellation cancellation;
  int told = 0;
  cancellation.Listen([&told] { ++told; });
  cancellation.StopListening();
  cancellation.Cancel();
  EXPECT_EQ(told, 0);
  EXPECT_TRUE(cancellation.cancelled());
}

// What the listener uses may go as soon as StopListening has returned.
TEST(Cancellation, ListenerIsNotRunningOnceItHasStopped) {
  for (int round = 0; round < 500; ++round) {
    Cancellation cancellation;
    auto used = std::make_unique<std::atomic<int>>(0);
    cancellation.Listen([&used] { ++*used; });
    std::thread canceller([&cancellation] { cancellation.Cancel(); });
    cancellation.StopListening();
    used.reset();
    canceller.join();
  }
}

}  // namespace
}  // namespace reprise::server
