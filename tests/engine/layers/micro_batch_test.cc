#include "engine/layers/micro_batch.h"

#include <vector>

#include "gtest/gtest.h"

namespace reprise::engine::layers {
namespace {

std::int64_t Square(std::int64_t n) { return n * n; }

// Sizes, in sequences, of the micro-batches that a batch of these lengths is cut into.
std::vector<std::int64_t> Cut(const std::vector<std::int32_t>& lengths,
                              const MicroBatchLimits& limits) {
  std::vector<std::int32_t> cu_seqlens = {0};
  for (const std::int32_t length : lengths) cu_seqlens.push_back(cu_seqlens.back() + length);
  const RaggedBatch batch = {
      .cu_seqlens = cu_seqlens, .input_ids = {}, .token_type_ids = {}, .position_ids = {}};
  std::vector<std::int64_t> sizes;
  std::int64_t row = 0;
  for (std::int64_t sequence = 0; sequence < batch.batch_size();) {
    const MicroBatch micro = TakeMicroBatch(batch, sequence, limits, Square);
    EXPECT_EQ(micro.first_sequence, sequence);
    EXPECT_EQ(micro.first_row, row);
    EXPECT_GE(micro.sequences, 1);
    sequence += micro.sequences;
    row += micro.rows;
    sizes.push_back(micro.sequences);
  }
  EXPECT_EQ(row, batch.total_tokens());
  return sizes;
}

using Sizes = std::vector<std::int64_t>;

TEST(MicroBatchTest, FillsUpToTheRowLimit) {
  EXPECT_EQ(Cut({4, 4, 4, 4, 4}, {.rows = 9, .score_bytes = 1000}), (Sizes{2, 2, 1}));
}

TEST(MicroBatchTest, FillsUpToTheScoreLimit) {
  EXPECT_EQ(Cut({3, 3, 3, 3}, {.rows = 100, .score_bytes = 20}), (Sizes{2, 2}));
}

TEST(MicroBatchTest, ALimitMayBeMetExactly) {
  EXPECT_EQ(Cut({3, 3}, {.rows = 6, .score_bytes = 18}), (Sizes{2}));
}

TEST(MicroBatchTest, OneSequenceIsTakenWhateverItsSize) {
  EXPECT_EQ(Cut({50, 1, 1}, {.rows = 10, .score_bytes = 10}), (Sizes{1, 2}));
}

}  // namespace
}  // namespace reprise::engine::layers
