// The scores-and-context step of one layer: computed heads, reused heads, each sequence by its own
// strategy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/device/cpu/thread_team.h"
#include "engine/execution_report.h"
#include "engine/layers/micro_batch.h"
#include "engine/ops/attention.h"
#include "engine/ops/panel_layout.h"
#include "engine/reuse/projection_cache.h"
#include "engine/reuse/reuse_plan.h"
#include "engine/reuse/score_cache.h"
#include "engine/reuse/strategy.h"

namespace reprise::engine::layers {

// What the heads of a whole model share.
struct AttentionContext {
  const reuse::ReusePlan* plan = nullptr;
  const ops::Attention* kernels = nullptr;
  std::span<const std::vector<float>* const>
      relative_bias;                       // [num_layers], entries may be empty vectors or null
  std::int64_t relative_max_distance = 0;  // 0: no relative bias
  const reuse::ScoreCache* scores = nullptr;
  const reuse::ProjectionCache* projections =
      nullptr;                   // null unless some sequence may be kRecompute or kFused
  std::byte* scratch = nullptr;  // kernels->scratch_bytes() per worker
};

struct AttentionInput {
  int layer = 0;
  const RaggedBatch* batch = nullptr;
  MicroBatch micro;
  std::span<const reuse::Strategy> strategies;  // [micro.sequences]
  const std::byte* projected = nullptr;         // input projection of the micro-batch's rows
  ops::PanelLayout projected_layout;
  std::byte* context = nullptr;  // [micro.rows, hidden_size], dense
};

// Fills `context` with softmax(Q K^T) V of every head and adds to `counts` the score entries
// computed, reused and recomputed, and what the kernels calculated beside them.
void RunAttention(device::ThreadTeam& team, const AttentionContext& context,
                  const AttentionInput& input, ScoreCounts* counts);

}  // namespace reprise::engine::layers
