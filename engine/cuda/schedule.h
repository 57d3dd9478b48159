// Decides on the host what the attention kernels of a reuse group will do with a batch: which
// sequences go together, how each gets its scores, where these are kept.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/cuda/attention.h"
#include "engine/layers/micro_batch.h"
#include "engine/reuse/strategy.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::engine::cuda {

constexpr std::int64_t TilesOf(std::int64_t seq_len) { return (seq_len + kTile - 1) / kTile; }

constexpr std::int64_t QueryBlocksOf(std::int64_t seq_len) {
  return (seq_len + kBlockQueries - 1) / kBlockQueries;
}

// Tiles of scores of one sequence with all its slots.
constexpr std::int64_t ScoreTiles(std::int64_t seq_len, int slots) {
  return slots * TilesOf(seq_len) * TilesOf(seq_len);
}

// What a tile takes: a maximum for each row, where scores are stored or rebuilt, and probabilities
// in bf16 where they are stored.
inline constexpr std::int64_t kMaximaTileBytes = 4 * kTile;
inline constexpr std::int64_t kStoredTileBytes = 2 * kTileScores + kMaximaTileBytes;

// Of a micro-batch; one sequence is always taken.
struct ScheduleLimits {
  std::int64_t rows = 0;
  std::int64_t prob_tiles = 0;  // of stored scores
  std::int64_t max_tiles = 0;   // of maxima, which are kept for stored and for recomputed scores
  int slots = 0;
};

// A micro-batch and its share of ScheduleArrays::blocks.
struct ScheduledMicroBatch {
  layers::MicroBatch micro;
  std::int64_t first_block = 0;
  std::int32_t blocks = 0;
  std::int64_t prob_tiles = 0;  // that it fills of the score store
};

// Where MakeSchedule writes, all in memory that the device gets a copy of. Views may be longer than
// what is written.
struct ScheduleArrays {
  std::span<QueryBlock> blocks;  // [sum of QueryBlocksOf(n)]; offsets from 0 in every micro-batch
  std::span<std::int32_t> block_counts;  // [micro-batches]
};

// Cuts the batch into micro-batches. `strategy_for(n)` is that of a sequence of n tokens. Fills
// `arrays` and, in place of what was there, `micro_batches`, whose capacity batch_size must have.
void MakeSchedule(const RaggedBatch& batch, const ScheduleLimits& limits,
                  const std::function<reuse::Strategy(std::int64_t)>& strategy_for,
                  const ScheduleArrays& arrays, std::vector<ScheduledMicroBatch>* micro_batches);

}  // namespace reprise::engine::cuda
