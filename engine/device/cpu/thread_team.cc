#include "engine/device/cpu/thread_team.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include "engine/device/cpu/cores.h"
#include "engine/device/cpu/execution_scope.h"

namespace reprise::engine::device {
namespace {

// About 50 us of pauses: longer than the gaps between the loops of one batch, shorter than a
// scheduler tick.
constexpr int kSpins = 2000;

void PinToCore(int index) {
  const std::vector<int> cores = CoresByNode();
  if (cores.empty()) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cores[index % cores.size()], &one);
  pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

// Returns once `value` no longer equals `old`.
template <typename T>
void SpinThenSleep(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadTeam::ThreadTeam(const ThreadTeamOptions& options) {
  for (int worker = 1; worker < options.threads; ++worker) {
    helpers_.emplace_back([this, worker, options] {
      if (options.pin_threads) PinToCore(options.first_core + worker);
      HelperLoop(worker);
    });
  }
}

ThreadTeam::~ThreadTeam() {
  stop_.store(true, std::memory_order_relaxed);
  loop_.fetch_add(1, std::memory_order_release);
  loop_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadTeam::ParallelFor(std::int64_t tasks, Body body) {
  if (tasks <= 0) return;
  if (helpers_.empty() || tasks == 1) {  // not worth waking anybody
    for (std::int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  body_ = &body;
  tasks_ = tasks;
  next_task_.store(0, std::memory_order_relaxed);
  helpers_running_.store(static_cast<int>(helpers_.size()), std::memory_order_relaxed);
  loop_.fetch_add(1, std::memory_order_release);
  loop_.notify_all();
  TakeTasks(/*worker=*/0);
  for (int left; (left = helpers_running_.load(std::memory_order_acquire)) != 0;) {
    SpinThenSleep(helpers_running_, left);
  }
}

void ThreadTeam::TakeTasks(int worker) {
  for (;;) {
    const std::int64_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    (*body_)(task, worker);
  }
}

void ThreadTeam::HelperLoop(int worker) {
  const ExecutionScope scope;
  std::uint32_t seen = 0;
  for (;;) {
    SpinThenSleep(loop_, seen);
    ++seen;
    if (stop_.load(std::memory_order_relaxed)) return;
    TakeTasks(worker);
    if (helpers_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      helpers_running_.notify_one();
    }
  }
}

}  // namespace reprise::engine::device
