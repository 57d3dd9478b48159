#include "server/commands/stop_signals.h"

#include <unistd.h>

#include <chrono>
#include <thread>

#include "gtest/gtest.h"

namespace reprise::server::commands {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(StopSignals, ASignalEndsTheWait) {
  StopSignals signals;
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(SteadyClock::now() + seconds(10)), SIGTERM);
  kill(getpid(), SIGINT);
  EXPECT_EQ(signals.Wait(SteadyClock::time_point::max()), SIGINT);
}

TEST(StopSignals, WithoutASignalTheDeadlineEndsTheWait) {
  StopSignals signals;
  const SteadyClock::time_point begin = SteadyClock::now();
  EXPECT_EQ(signals.Wait(begin + milliseconds(20)), 0);
  EXPECT_GE(SteadyClock::now() - begin, milliseconds(20));
}

TEST(StopSignals, ADeadlineInThePastLooksOnce) {
  StopSignals signals;
  EXPECT_EQ(signals.Wait(SteadyClock::now() - seconds(1)), 0);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(SteadyClock::now() - seconds(1)), SIGTERM);
}

TEST(StopSignals, ASignalToAnyThreadIsSeen) {
  StopSignals signals;
  std::thread other([] { std::this_thread::sleep_for(milliseconds(50)); });
  pthread_kill(other.native_handle(), 0);  // it runs
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(SteadyClock::now() + seconds(10)), SIGTERM);
  other.join();
}

TEST(StopSignals, DestructionEndsTheWatchingOfASecondSignal) {
  StopSignals signals;
  signals.NextOneEndsTheProcess();
}

TEST(StopSignalsDeathTest, ASecondSignalEndsTheProcessWhateverItIsAt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a fresh process: this one had threads
  const auto end_by_signal = [] {
    StopSignals signals;
    signals.NextOneEndsTheProcess();
    kill(getpid(), SIGTERM);
    std::this_thread::sleep_for(seconds(30));
  };
  EXPECT_EXIT(end_by_signal(), ::testing::ExitedWithCode(128 + SIGTERM), "");
}

}  // namespace
}  // namespace reprise::server::commands
