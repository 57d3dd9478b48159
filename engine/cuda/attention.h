// Attention of all heads of a layer over a micro-batch on a GPU: heads that compute their scores,
// heads that keep them, heads that read them and heads that rebuild them, in one launch.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "engine/cuda/stream.h"
#include "engine/reuse/strategy.h"

namespace reprise::engine::cuda {

// Queries and keys of a tile of scores; keys of a step.
inline constexpr int kTile = 64;
inline constexpr int kTileScores = kTile * kTile;
// Queries of a block, which share the keys and values that it loads.
inline constexpr int kBlockQueries = 2 * kTile;

// Head dimensions that the kernels are built for. Others are padded with zeros to the next one, in
// the weights; 0 when there is none.
constexpr int PaddedHeadDim(int head_dim) {
  for (const int padded : {16, 32, 64, 128}) {
    if (head_dim <= padded) return padded;
  }
  return 0;
}

// kBlockQueries queries of one sequence and all that a block has to know of it, in one load.
struct alignas(16) QueryBlock {
  std::int32_t first_row = 0;                         // of the sequence in the batch
  std::int32_t seq_len = 0;                           // of the sequence
  std::int32_t first_query = 0;                       // a multiple of kBlockQueries
  reuse::Strategy strategy = reuse::Strategy::kNone;  // of the sequence in this reuse group
  std::int64_t prob_offset = 0;                       // of the sequence in the store, in tiles
  std::int64_t max_offset = 0;
};

// What one head of a layer does.
struct HeadRole {
  std::int32_t computed = -1;   // its place among the layer's computed heads; -1: it reuses
  std::int32_t slot = -1;       // where its scores, or its source's, are kept; -1: nowhere
  const float* bias = nullptr;  // [2 * max_distance - 1] of the head that computes; null: none
};

// Where scores and what they are rebuilt from are kept. The scores of (slot, sequence) are tiles of
// kTile x kTile, row by row: tile (query tile, key tile) is number
//   offset + (slot * tiles + query tile) * tiles + key tile,  tiles = ceil(n / kTile).
// Probabilities are kept as exp2(score - m) in bf16, in the registers' order of the tensor cores,
// so that a thread reads back what it wrote. m is what the row's scores were compared with in this
// tile: the largest one so far, or an earlier one that it exceeds by less than kMaximumSlack. With
// m and the sum of each row a later layer repeats the very steps of the layer that computed, to the
// same bits.
struct ScoreStore {
  std::uint16_t* probs = nullptr;        // tiles of kTileScores
  float* maxima = nullptr;               // tiles of kTile
  float* sums = nullptr;                 // [slots, max_rows], of the micro-batch's rows
  std::uint16_t* projections = nullptr;  // [slots, 2, max_rows, head_dim]: queries, keys
  std::int64_t max_rows = 0;
};

// The layer's input projection, bf16: [rows, (2 * computed + heads) * head_dim], queries of
// computed heads, keys of computed heads, values of all heads.
struct AttentionArgs {
  int heads = 0;
  int computed = 0;
  int head_dim = 0;  // one of PaddedHeadDim
  float scale = 1;   // of scores, before the bias
  const std::uint16_t* projected = nullptr;
  std::uint16_t* context = nullptr;  // [rows, heads * head_dim]
  const HeadRole* roles = nullptr;   // [heads]
  // The batch, in device memory.
  const std::int32_t* positions = nullptr;   // [total_tokens]; read where there is a bias
  const QueryBlock* blocks = nullptr;        // of the micro-batch
  const std::int32_t* num_blocks = nullptr;  // how many of them there are, at most max_blocks
  std::int64_t max_blocks = 0;
  std::int32_t first_row = 0;     // of the micro-batch in the batch; row 0 of projected and context
  std::int32_t max_distance = 0;  // of the bias tables; 0: there are none
  ScoreStore store;
};

//   context[q, :] = sum_k softmax_k(scale * query[q] . key[k] + bias(q, k)) value[k, :]
// (Vaswani et al. 2017, eq. 1; bias as in ops/attention.h.) Numbers depend on the sequence alone.
// Unimplemented for a head_dim that is not one of PaddedHeadDim's.
absl::Status RunAttention(const Stream& stream, const AttentionArgs& args);

// Copies queries and keys of heads with a slot into the store, for sequences that recompute or run
// fused. `max_rows` is an upper limit of the micro-batch's rows, `rows` the device's number of
// them.
absl::Status KeepProjections(const Stream& stream, const AttentionArgs& args);

}  // namespace reprise::engine::cuda
