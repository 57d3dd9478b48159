#include "server/repository/model_tasks.h"

#include <algorithm>
#include <utility>

#include "engine/check.h"

namespace reprise::server::repository {

ModelTasks::ModelTasks(int max_loads) : max_loads_(max_loads) { REPRISE_CHECK(max_loads >= 1); }

ModelTasks::~ModelTasks() { Join(); }

void ModelTasks::Add(const std::string& model, Kind kind, Task task) {
  MutexLock lock(mutex_);
  waiting_.push_back({model, kind, std::move(task)});
  StartWhatMay();
}

void ModelTasks::AddNext(const std::string& model, Kind kind, Task task) {
  MutexLock lock(mutex_);
  REPRISE_CHECK(busy_.contains(model));
  waiting_.push_front({model, kind, std::move(task)});
}

void ModelTasks::Join() {
  std::vector<std::thread> finished;
  {
    MutexLock lock(mutex_);
    while (!waiting_.empty() || !threads_.empty()) ended_.wait(lock.native());
    finished = std::exchange(finished_, {});
  }
  for (std::thread& thread : finished) thread.join();
}

bool ModelTasks::May(const Entry& entry) const {
  return !busy_.contains(entry.model) && (entry.kind != Kind::kLoad || loads_ < max_loads_);
}

void ModelTasks::StartWhatMay() {
  for (std::thread& thread : finished_) thread.join();  // they hold no lock and do nothing more
  finished_.clear();
  std::set<std::string> passed_over;  // a model's first task waits, so its others do
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (passed_over.contains(it->model) || !May(*it)) {
      passed_over.insert(it->model);
      ++it;
      continue;
    }
    busy_.insert(it->model);
    if (it->kind == Kind::kLoad) ++loads_;
    threads_.emplace_back([this, entry = std::move(*it)]() mutable { Run(std::move(entry)); });
    it = waiting_.erase(it);
  }
}

void ModelTasks::Run(Entry entry) {
  entry.task();
  entry.task = nullptr;  // what it holds goes before its model's next task begins
  MutexLock lock(mutex_);
  busy_.erase(entry.model);
  if (entry.kind == Kind::kLoad) --loads_;
  StartWhatMay();
  const auto self = std::find_if(threads_.begin(), threads_.end(), [](const std::thread& thread) {
    return thread.get_id() == std::this_thread::get_id();
  });
  finished_.push_back(std::move(*self));
  threads_.erase(self);
  ended_.notify_all();
}

}  // namespace reprise::server::repository
