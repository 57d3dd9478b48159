#include "engine/cuda/schedule.h"

namespace reprise::engine::cuda {
using reuse::Strategy;

void MakeSchedule(const RaggedBatch& batch, const ScheduleLimits& limits,
                  const std::function<Strategy(std::int64_t)>& strategy_for,
                  const ScheduleArrays& arrays, std::vector<ScheduledMicroBatch>* micro_batches) {
  micro_batches->clear();
  const auto stored_bytes = [&](std::int64_t seq_len) {
    return strategy_for(seq_len) == Strategy::kStored ? StoredBytes(seq_len, limits.slots) : 0;
  };
  std::int64_t next_tile = 0;
  for (std::int64_t first = 0; first < batch.batch_size();) {
    ScheduledMicroBatch scheduled;
    scheduled.micro =
        layers::TakeMicroBatch(batch, first, {limits.rows, limits.score_bytes}, stored_bytes);
    scheduled.first_tile = next_tile;
    std::int64_t prob_tiles = 0;
    std::int64_t max_tiles = 0;
    for (std::int64_t s = first; s < first + scheduled.micro.sequences; ++s) {
      const std::int64_t n = batch.seq_len(s);
      const Strategy strategy = strategy_for(n);
      arrays.strategies[s] = strategy;
      arrays.prob_offsets[s] = prob_tiles;
      arrays.max_offsets[s] = max_tiles;
      if (strategy == Strategy::kStored) prob_tiles += ScoreTiles(n, limits.slots);
      if (strategy == Strategy::kStored || strategy == Strategy::kRecompute) {
        max_tiles += ScoreTiles(n, limits.slots);
      }
      for (std::int64_t row = 0; row < n; row += kTile) {
        arrays.tiles[next_tile++] = {static_cast<std::int32_t>(s), static_cast<std::int32_t>(row)};
      }
    }
    scheduled.tiles = static_cast<std::int32_t>(next_tile - scheduled.first_tile);
    arrays.tile_counts[micro_batches->size()] = scheduled.tiles;
    micro_batches->push_back(scheduled);
    first += scheduled.micro.sequences;
  }
}

}  // namespace reprise::engine::cuda
