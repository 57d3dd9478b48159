#include "engine/memory/arena_plan.h"

#include <algorithm>
#include <random>

#include "engine/memory/buffer.h"
#include "gtest/gtest.h"

namespace reprise::engine::memory {
namespace {

bool Overlap(std::int64_t a, std::int64_t a_bytes, std::int64_t b, std::int64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

TEST(ArenaPlanTest, BuffersThatNeverMeetShareBytes) {
  const ArenaPlan plan = PlanArena({{1024, 0, 1}, {1024, 2, 3}, {512, 1, 2}});
  EXPECT_EQ(plan.bytes, 1024 + 512);
  EXPECT_EQ(plan.offsets[0], plan.offsets[1]);
}

TEST(ArenaPlanTest, BuffersThatMeetDoNotOverlap) {
  const ArenaPlan plan = PlanArena({{100, 0, 1}, {100, 1, 2}});
  EXPECT_FALSE(Overlap(plan.offsets[0], 100, plan.offsets[1], 100));
  EXPECT_EQ(plan.bytes, 256);  // each rounded up to a cache line
}

TEST(ArenaPlanTest, NothingNeedsNothing) { EXPECT_EQ(PlanArena({}).bytes, 0); }

TEST(ArenaPlanTest, RandomLifetimesAreKeptApart) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> lifetimes(1 + random() % 20);
    std::int64_t sum = 0;
    for (Lifetime& lifetime : lifetimes) {
      lifetime.bytes = static_cast<std::int64_t>(random() % 5000);
      lifetime.first = static_cast<int>(random() % 10);
      lifetime.last = lifetime.first + static_cast<int>(random() % 5);
      sum += AlignUp(lifetime.bytes, kAlignment);
    }
    const ArenaPlan plan = PlanArena(lifetimes);
    std::int64_t most_at_once = 0;
    for (int step = 0; step < 15; ++step) {
      std::int64_t live = 0;
      for (const Lifetime& l : lifetimes) {
        if (l.first <= step && step <= l.last) live += l.bytes;
      }
      most_at_once = std::max(most_at_once, live);
    }
    EXPECT_LE(plan.bytes, sum);
    EXPECT_GE(plan.bytes, most_at_once);
    for (std::size_t i = 0; i < lifetimes.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % kAlignment, 0);
      EXPECT_LE(plan.offsets[i] + lifetimes[i].bytes, plan.bytes);
      for (std::size_t j = 0; j < i; ++j) {
        const bool meet =
            lifetimes[i].first <= lifetimes[j].last && lifetimes[j].first <= lifetimes[i].last;
        if (meet && lifetimes[i].bytes > 0 && lifetimes[j].bytes > 0) {
          EXPECT_FALSE(
              Overlap(plan.offsets[i], lifetimes[i].bytes, plan.offsets[j], lifetimes[j].bytes));
        }
      }
    }
  }
}

}  // namespace
}  // namespace reprise::engine::memory
