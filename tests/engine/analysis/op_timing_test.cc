#include "engine/analysis/op_timing.h"

#include <map>
#include <set>
#include <string>

#include "engine/cpu_backend.h"
#include "engine/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/tiny_model.h"

namespace reprise::engine::analysis {
namespace {

using ::testing::UnorderedElementsAre;

TEST(TimeOps, TimesEveryKernelOnceForEachShape) {
  device::ThreadTeam team({.threads = 2});
  const auto model = TinyModel(Precision::kF32, TinyConfig());
  int calls = 0, last = 0, announced = 0;
  const auto times =
      TimeOps(team, {&model->config(), &CpuWeights(*model), DType::kF32},
              {.batch_size = 3, .seq_len = 10, .repetitions = 2}, [&](int done, int total) {
                ++calls;
                last = done;
                announced = total;
              });
  ASSERT_OK(times);
  std::multiset<std::string> names;
  for (const OpTime& time : *times) {
    names.insert(time.op + ": " + time.shape);
    EXPECT_GT(time.milliseconds, 0) << time.op;
    EXPECT_GT(time.flops + time.memory_bytes, 0) << time.op;
  }
  // Layers with two reused heads have queries and keys of two heads only: 16 + 16 + 32 columns.
  EXPECT_THAT(names, UnorderedElementsAre(
                         "input projection: 30 x 32 -> 96", "input projection: 30 x 32 -> 64",
                         "output projection: 30 x 32 -> 32", "feed-forward up: 30 x 32 -> 64",
                         "feed-forward down: 30 x 64 -> 32", "attention: 12 heads, n = 10, width 8",
                         "attention, scores kept: 12 heads, n = 10, width 8",
                         "attention, scores read: 12 heads, n = 10, width 8",
                         "attention, queries and keys kept: 12 heads, n = 10, width 8",
                         "attention, scores recomputed: 12 heads, n = 10, width 8",
                         "addition and norm: 30 x 32"));
  EXPECT_EQ(calls, static_cast<int>(times->size()));
  EXPECT_EQ(last, announced);
}

TEST(TimeOps, CountsAMultiplyAddAsTwo) {
  device::ThreadTeam team({.threads = 1});
  const auto model = TinyModel(Precision::kF32, TinyConfig());
  const auto times = TimeOps(team, {&model->config(), &CpuWeights(*model), DType::kF32},
                             {.batch_size = 1, .seq_len = 10, .repetitions = 1}, [](int, int) {});
  ASSERT_OK(times);
  std::map<std::string, double> flops;
  for (const OpTime& time : *times) flops[time.op] = time.flops;
  EXPECT_EQ(flops["feed-forward up"], 2.0 * 10 * 32 * 64);
  EXPECT_EQ(flops["attention"], 2.0 * 2 * 4 * 10 * 10 * 8);
  EXPECT_EQ(flops["attention, scores read"], 2.0 * 4 * 10 * 10 * 8);
}

}  // namespace
}  // namespace reprise::engine::analysis
