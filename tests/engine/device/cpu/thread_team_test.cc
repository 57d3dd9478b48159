#include "engine/device/cpu/thread_team.h"

#include <chrono>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace reprise::engine::device {
namespace {

class ThreadTeamTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadTeamTest, RunsEachTaskOnce) {
  ThreadTeam team({.threads = GetParam()});
  EXPECT_EQ(team.size(), GetParam());
  for (const int tasks : {0, 1, 2, 7, 100, 1000}) {
    std::vector<int> runs(tasks, 0);
    team.ParallelFor(tasks, [&](std::int64_t task, int) { ++runs[task]; });
    EXPECT_EQ(runs, std::vector<int>(tasks, 1));
  }
}

TEST_P(ThreadTeamTest, WorkersAreNumberedWithinTheTeam) {
  ThreadTeam team({.threads = GetParam()});
  std::vector<std::atomic<int>> by_worker(GetParam());
  team.ParallelFor(500, [&](std::int64_t, int worker) { ++by_worker.at(worker); });
  int total = 0;
  for (const auto& count : by_worker) total += count;
  EXPECT_EQ(total, 500);
}

TEST_P(ThreadTeamTest, ManyShortLoopsSeeEachOthersResults) {
  ThreadTeam team({.threads = GetParam()});
  std::vector<std::int64_t> values(64, 0);
  for (int loop = 0; loop < 3000; ++loop) {
    team.ParallelFor(64, [&](std::int64_t task, int) { values[task] = values[(task)] + 1; });
  }
  EXPECT_EQ(values, std::vector<std::int64_t>(64, 3000));
}

TEST_P(ThreadTeamTest, WakesUpAfterSleeping) {
  ThreadTeam team({.threads = GetParam(), .pin_threads = true});
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // far longer than helpers spin
    std::atomic<int> runs = 0;
    team.ParallelFor(10, [&](std::int64_t, int) { ++runs; });
    EXPECT_EQ(runs, 10);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadTeamTest, ::testing::Values(1, 2, 3, 8));

}  // namespace
}  // namespace reprise::engine::device
