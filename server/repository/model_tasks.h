// Runs what loads and unloads models, in threads of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/request/mutex.h"

namespace reprise::server::repository {

// The tasks of one model run one after another, in the order they came; those of different models
// run at the same time, each in its own thread, but no more than `max_loads` loads. Thread-safe.
class ModelTasks {
 public:
  using Task = std::function<void()>;
  enum class Kind { kLoad, kUnload };

  explicit ModelTasks(int max_loads);  // Requires: max_loads >= 1
  ~ModelTasks();                       // Join
  ModelTasks(const ModelTasks&) = delete;
  ModelTasks& operator=(const ModelTasks&) = delete;

  void Add(const std::string& model, Kind kind, Task task);
  // Before all that waits for this model. Requires: called by a task of this model.
  void AddNext(const std::string& model, Kind kind, Task task);
  // Returns when every task has run, also those that tasks added. Requires: no Add comes meanwhile
  // from anybody else.
  void Join();

 private:
  struct Entry {
    std::string model;
    Kind kind;
    Task task;
  };

  void StartWhatMay() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool May(const Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(Entry entry);

  const int max_loads_;
  Mutex mutex_;
  std::condition_variable ended_;
  std::list<Entry> waiting_ ABSL_GUARDED_BY(mutex_);           // in the order they came
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);         // models with a running task
  int loads_ ABSL_GUARDED_BY(mutex_) = 0;                      // running
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);   // running
  std::vector<std::thread> finished_ ABSL_GUARDED_BY(mutex_);  // about to return, to be joined
};

}  // namespace reprise::server::repository
