// A fixed team of threads that runs loops in parallel, one loop at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "engine/device/cpu/function_ref.h"

namespace reprise::engine::device {

struct ThreadTeamOptions {
  int threads = 1;  // >= 1, the caller's included
  // Bind helper i, from 1, to core first_core + i of CoresByNode, wrapping round. The caller stays
  // where it is; core first_core is left to it.
  bool pin_threads = false;
  int first_core = 0;
};

// Helpers spin for a short while between loops, because the loops of one batch follow each other
// within microseconds, then sleep. Not thread-safe: one thread at a time calls ParallelFor.
class ThreadTeam {
 public:
  explicit ThreadTeam(const ThreadTeamOptions& options);
  ~ThreadTeam();  // joins the helpers
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls body(task, worker) once for each task in [0, tasks), worker in [0, size()); the caller is
  // worker 0. Returns when all are done. Tasks are taken in ascending order by whoever is free, so
  // nothing may depend on which worker runs which.
  void ParallelFor(std::int64_t tasks, FunctionRef<void(std::int64_t task, int worker)> body);

 private:
  using Body = FunctionRef<void(std::int64_t, int)>;
  void HelperLoop(int worker);
  void TakeTasks(int worker);

  std::vector<std::thread> helpers_;
  const Body* body_ = nullptr;  // of the loop in progress
  std::int64_t tasks_ = 0;
  std::atomic<std::int64_t> next_task_{0};
  std::atomic<std::uint32_t> loop_{0};  // number of loops started; helpers wait for it to change
  std::atomic<int> helpers_running_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace reprise::engine::device
