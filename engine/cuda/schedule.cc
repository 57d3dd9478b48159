#include "engine/cuda/schedule.h"

namespace reprise::engine::cuda {
namespace {

using reuse::Strategy;

// Tiles of the store that one sequence takes.
struct StoreTiles {
  std::int64_t probs = 0;
  std::int64_t maxima = 0;
};
StoreTiles TilesFor(Strategy strategy, std::int64_t seq_len, int slots) {
  const bool probs = strategy == Strategy::kStored;
  const bool maxima = probs || strategy == Strategy::kRecompute;
  const std::int64_t tiles = ScoreTiles(seq_len, slots);
  return {probs ? tiles : 0, maxima ? tiles : 0};
}

}  // namespace

void MakeSchedule(const RaggedBatch& batch, const ScheduleLimits& limits,
                  const std::function<Strategy(std::int64_t)>& strategy_for,
                  const ScheduleArrays& arrays, std::vector<ScheduledMicroBatch>* micro_batches) {
  micro_batches->clear();
  std::int64_t next_block = 0;
  for (std::int64_t s = 0; s < batch.batch_size();) {
    ScheduledMicroBatch scheduled;
    scheduled.micro.first_sequence = s;
    scheduled.micro.first_row = batch.cu_seqlens[s];
    scheduled.first_block = next_block;
    StoreTiles used;
    for (; s < batch.batch_size(); ++s) {
      const std::int64_t n = batch.seq_len(s);
      const Strategy strategy = strategy_for(n);
      const StoreTiles wanted = TilesFor(strategy, n, limits.slots);
      const bool full = scheduled.micro.rows + n > limits.rows ||
                        used.probs + wanted.probs > limits.prob_tiles ||
                        used.maxima + wanted.maxima > limits.max_tiles;
      if (scheduled.micro.sequences > 0 && full) break;
      for (std::int32_t query = 0; query < n; query += kBlockQueries) {
        arrays.blocks[next_block++] = {.first_row = batch.cu_seqlens[s],
                                       .seq_len = batch.seq_len(s),
                                       .first_query = query,
                                       .strategy = strategy,
                                       .prob_offset = used.probs,
                                       .max_offset = used.maxima};
      }
      used.probs += wanted.probs;
      used.maxima += wanted.maxima;
      ++scheduled.micro.sequences;
      scheduled.micro.rows += n;
    }
    scheduled.blocks = static_cast<std::int32_t>(next_block - scheduled.first_block);
    scheduled.prob_tiles = used.probs;
    arrays.block_counts[micro_batches->size()] = scheduled.blocks;
    micro_batches->push_back(scheduled);
  }
}

}  // namespace reprise::engine::cuda
