#include "server/repository/model_tasks.h"

#include <atomic>
#include <condition_variable>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::repository {
namespace {

using Kind = ModelTasks::Kind;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// Tasks that write their name when they begin and end when the test lets them.
class Work {
 public:
  ModelTasks::Task Named(std::string name) {
    return [this, name = std::move(name)] {
      MutexLock lock(mutex_);
      begun_.push_back(name);
      changed_.notify_all();
      while (shut_) changed_.wait(lock.native());
    };
  }
  void Open() {
    MutexLock lock(mutex_);
    shut_ = false;
    changed_.notify_all();
  }
  std::vector<std::string> AwaitBegun(std::size_t count) {
    MutexLock lock(mutex_);
    while (begun_.size() < count) changed_.wait(lock.native());
    return begun_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  bool shut_ = true;
  std::vector<std::string> begun_;
};

TEST(ModelTasksTest, TasksOfOneModelRunInTheirOrder) {
  Work work;
  ModelTasks tasks(4);
  for (const char* name : {"1", "2", "3"}) tasks.Add("m", Kind::kLoad, work.Named(name));
  EXPECT_THAT(work.AwaitBegun(1), ElementsAre("1"));
  work.Open();
  tasks.Join();
  EXPECT_THAT(work.AwaitBegun(3), ElementsAre("1", "2", "3"));
}

TEST(ModelTasksTest, NoMoreLoadsRunThanMayAndUnloadsNeedNotWaitForThem) {
  Work work;
  ModelTasks tasks(2);
  for (const char* model : {"a", "b", "c"}) tasks.Add(model, Kind::kLoad, work.Named(model));
  tasks.Add("c", Kind::kUnload, work.Named("after c"));
  tasks.Add("d", Kind::kUnload, work.Named("d"));
  EXPECT_THAT(work.AwaitBegun(3), UnorderedElementsAre("a", "b", "d"));
  work.Open();
  tasks.Join();
  const std::vector<std::string> begun = work.AwaitBegun(5);
  EXPECT_THAT(begun, UnorderedElementsAre("a", "b", "c", "d", "after c"));
  EXPECT_EQ(begun.back(), "after c");
}

TEST(ModelTasksTest, WhatATaskAddsComesBeforeAllThatWaits) {
  Work work;
  work.Open();
  ModelTasks tasks(1);
  std::atomic<bool> added{false};
  tasks.Add("m", Kind::kLoad, [&] {
    while (!added) std::this_thread::yield();
    tasks.AddNext("m", Kind::kUnload, work.Named("next"));
  });
  tasks.Add("m", Kind::kLoad, work.Named("later"));
  added = true;
  tasks.Join();
  EXPECT_THAT(work.AwaitBegun(2), ElementsAre("next", "later"));
}

TEST(ModelTasksTest, ManyTasksOfManyCallersAllRun) {
  std::atomic<int> ran{0};
  ModelTasks tasks(3);
  std::vector<std::thread> callers;
  for (const std::string model : {"a", "b", "c", "d"}) {
    callers.emplace_back([&, model] {
      for (int i = 0; i < 50; ++i) {
        tasks.Add(model, i % 2 == 0 ? Kind::kLoad : Kind::kUnload, [&ran] { ++ran; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  tasks.Join();
  EXPECT_EQ(ran, 200);
}

}  // namespace
}  // namespace reprise::server::repository
