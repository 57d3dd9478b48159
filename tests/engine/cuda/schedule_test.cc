#include "engine/cuda/schedule.h"

#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::engine::cuda {
namespace {

using reuse::Strategy;
using ::testing::ElementsAre;

struct Made {
  std::vector<QueryBlock> blocks = std::vector<QueryBlock>(64);
  std::vector<std::int32_t> block_counts = std::vector<std::int32_t>(8);
  std::vector<ScheduledMicroBatch> micro_batches;

  ScheduleArrays arrays() { return {blocks, block_counts}; }
};

// Up to 64 tokens are stored, up to 128 recomputed, longer ones run fused.
Strategy ByLength(std::int64_t n) {
  return n <= 64 ? Strategy::kStored : n <= 128 ? Strategy::kRecompute : Strategy::kFused;
}

TEST(ScheduleTest, EachSequenceHasItsBlocksAndItsPlaceInTheStore) {
  const std::vector<std::int32_t> cu_seqlens = {0, 64, 164, 165, 294};  // 64, 100, 1, 129
  Made made;
  MakeSchedule({cu_seqlens, {}, {}, {}}, {1000, 100, 100, 3}, ByLength, made.arrays(),
               &made.micro_batches);
  ASSERT_EQ(made.micro_batches.size(), 1u);
  EXPECT_EQ(made.micro_batches[0].blocks, 5);
  EXPECT_EQ(made.block_counts[0], 5);
  const auto block = [&](int i) {
    const QueryBlock& b = made.blocks[i];
    return std::tuple(b.first_row, b.seq_len, b.first_query, b.strategy, b.prob_offset,
                      b.max_offset);
  };
  // One tile for each of 3 slots, and four for the recomputed one.
  EXPECT_EQ(block(0), std::tuple(0, 64, 0, Strategy::kStored, 0, 0));
  EXPECT_EQ(block(1), std::tuple(64, 100, 0, Strategy::kRecompute, 3, 3));
  EXPECT_EQ(block(2), std::tuple(164, 1, 0, Strategy::kStored, 3, 15));
  EXPECT_EQ(block(3), std::tuple(165, 129, 0, Strategy::kFused, 6, 18));
  EXPECT_EQ(block(4), std::tuple(165, 129, 128, Strategy::kFused, 6, 18));
}

TEST(ScheduleTest, MicroBatchesKeepAllLimitsAndBeginTheStoreAnew) {
  const std::vector<std::int32_t> cu_seqlens = {0, 64, 128, 192, 320};
  Made made;
  MakeSchedule({cu_seqlens, {}, {}, {}}, {1000, 2, 100, 1}, ByLength, made.arrays(),
               &made.micro_batches);
  ASSERT_EQ(made.micro_batches.size(), 2u);
  EXPECT_EQ(made.micro_batches[0].micro.sequences, 2);
  EXPECT_EQ(made.micro_batches[1].micro.first_row, 128);
  EXPECT_EQ(made.micro_batches[1].first_block, 2);
  EXPECT_EQ(made.micro_batches[1].blocks, 2);
  EXPECT_EQ(made.micro_batches[0].prob_tiles, 2);
  EXPECT_EQ(made.blocks[2].prob_offset, 0);
  MakeSchedule({cu_seqlens, {}, {}, {}}, {100, 100, 100, 1}, ByLength, made.arrays(),
               &made.micro_batches);
  EXPECT_EQ(made.micro_batches.size(), 4u);
  // The last sequence is recomputed: it needs four tiles of maxima, which are not there any more.
  MakeSchedule({cu_seqlens, {}, {}, {}}, {1000, 100, 6, 1}, ByLength, made.arrays(),
               &made.micro_batches);
  EXPECT_EQ(made.micro_batches.size(), 2u);
}

}  // namespace
}  // namespace reprise::engine::cuda
