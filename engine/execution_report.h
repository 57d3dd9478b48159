// What one run of an executor did and what reuse saved in it; metrics and `reprise bench` read the
// same struct.
#pragma once

#include <cstdint>
#include <vector>

namespace reprise::engine {

enum class Phase {
  kEmbedding,
  kInputProjection,
  kAttention,
  kOutputProjection,
  kFeedForward,
  kPooling
};
inline constexpr int kNumPhases = 6;

// Entries of post-softmax score matrices, over real tokens: one head of one sequence of length n
// has n*n of them.
struct ScoreCounts {
  std::int64_t computed = 0;  // from this layer's own queries and keys
  std::int64_t reused = 0;    // read from the score cache
  std::int64_t recomputed =
      0;  // rebuilt from the source layer's kept queries and keys: saves projections, not scores
  // What the kernels calculated beside the computed and recomputed entries, because they take whole
  // vectors of keys.
  std::int64_t padding = 0;
};

struct ExecutionReport {
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  std::int64_t compute_ns = 0;  // wall time of Run
  std::int64_t phase_ns[kNumPhases] =
      {};  // wall time by Phase; sums to compute_ns up to bookkeeping
  std::vector<ScoreCounts> layer_scores;  // [num_layers], capacity kept between runs
  // Rows that the layers' matrix products ran beside those of tokens, because their blocks have a
  // least height; summed over the layers, so padding_rows / num_layers is comparable to `tokens`.
  std::int64_t padding_rows = 0;
  std::int64_t multiply_adds = 0;        // of matrix products, real tokens only
  std::int64_t multiply_adds_exact = 0;  // the same batch with every head of every layer computed
  // The share of the attention products in the two above: query x key, probabilities x value.
  std::int64_t attention_multiply_adds = 0;
  std::int64_t attention_multiply_adds_exact = 0;
  std::int64_t stored_groups = 0;     // (sequence, reuse group) pairs run with strategy `stored`
  std::int64_t recompute_groups = 0;  // ... with strategy `recompute`
  std::int64_t fused_groups = 0;      // ... with strategy `fused`
  // How the run was started on a GPU: from a graph made before, from one made in this run, or else.
  std::int64_t graph_replays = 0;
  std::int64_t graph_captures = 0;
  std::int64_t direct_runs = 0;       // always 1 on a CPU
  std::int64_t arena_bytes = 0;       // planned size, fixed at creation
  std::int64_t arena_peak_bytes = 0;  // highest use so far
  std::int64_t score_cache_capacity_bytes = 0;
  std::int64_t score_cache_live_bytes = 0;  // largest use within this run
  std::int64_t score_cache_peak_bytes = 0;  // highest use so far
};

}  // namespace reprise::engine
