// Prints what the planner's steps cost with many requests waiting. Run by hand: a time is not a
// test.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/batching/batch_planner.h"
#include "tests/server/batching/queued_items.h"

namespace reprise::server::batching {
namespace {

using Microseconds = std::chrono::duration<double, std::micro>;

template <typename Step>
double MicrosecondsOf(Step step) {
  const auto start = SteadyClock::now();
  step();
  return Microseconds(SteadyClock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

class Course {
 public:
  Course(std::size_t waiting, int clients) : waiting_(waiting), clients_(clients) {
    BatchTimes times;
    times.Record(16, std::chrono::milliseconds(9));
    times.Record(4000, std::chrono::milliseconds(1700));
    ModelLimits limits;
    limits.max_batch_size = 256;
    limits.max_batch_tokens = 4096;
    limits.max_batch_score_bytes = std::int64_t{1} << 28;
    limits.priority_levels = 3;
    limits.default_priority = 2;
    planner_ = std::make_unique<BatchPlanner>(MakePlannerRules(limits, {}), 1, times);
    planner_->Started(0, 4000, kNow);
  }

  void Print() {
    while (planner_->line().size() < waiting_) Enter();
    std::vector<double> enter, take, sweep;
    for (int batch = 0; batch < 201; ++batch) {
      sweep.push_back(MicrosecondsOf([&] { planner_->TakeExpired(kNow); }));
      take.push_back(MicrosecondsOf([&] { planner_->TakeBatch(1, false, kNow); }));
      const std::size_t gone = waiting_ - planner_->line().size();
      const double all = MicrosecondsOf([&] {
        while (planner_->line().size() < waiting_) Enter();
      });
      enter.push_back(all / static_cast<double>(gone));
    }
    std::printf("%9zu %8d %19.2f %15.1f %16.2f\n", waiting_, clients_, Median(enter), Median(take),
                Median(sweep));
  }

 private:
  // With a deadline, so that it is predicted, and far enough to be admitted.
  void Enter() {
    QueuedItem item = OneRow(next_id_++, std::uniform_int_distribution<>(16, 512)(random_));
    item.score_bytes = 24 * item.tokens * item.tokens;
    item.priority = std::uniform_int_distribution<>(1, 3)(random_);
    item.deadline =
        kNow + std::chrono::hours(100) +
        std::chrono::microseconds(std::uniform_int_distribution<>(0, 1'000'000)(random_));
    planner_->Enter(item, std::to_string(std::uniform_int_distribution<>(1, clients_)(random_)),
                    kNow);
  }

  const std::size_t waiting_;
  const int clients_;
  std::unique_ptr<BatchPlanner> planner_;
  std::mt19937_64 random_{1};
  ItemId next_id_ = 0;
};

}  // namespace
}  // namespace reprise::server::batching

int main() {
  std::printf("  waiting  clients  enter + predict us   take batch us   nobody late us\n");
  for (const std::size_t waiting : {100, 1000, 10'000, 100'000}) {
    for (const int clients : {1, 1000}) {
      reprise::server::batching::Course(waiting, clients).Print();
    }
  }
}
