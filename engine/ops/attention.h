// Attention of one head over one sequence, from its own scores or from scores that an earlier layer
// stored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/tensor/dtype.h"
#include "engine/tensor/score_block.h"

namespace reprise::engine::ops {

// One head's columns of a larger matrix: row r starts at data + r * row_stride elements. [seq_len,
// head_dim]
struct HeadView {
  const void* data = nullptr;
  std::int64_t row_stride = 0;
};

// Learned bias by clipped distance, added to scaled scores (arXiv 2110.06821's public code):
// bias(query, key) = table[clip(position(key) - position(query) + max_distance - 1, 0, 2 *
// max_distance - 2)].
struct RelativeBias {
  const float* table = nullptr;  // [2 * max_distance - 1], this head's row; null: no bias
  std::int64_t max_distance = 0;
  const std::int32_t* positions = nullptr;  // [seq_len]; null: 0, 1, 2, ...
};

// Rows [first_row, first_row + rows) of the context of one head:
//   context[q, :] = sum_k softmax_k(scale * query[q] . key[k] + bias(q, k)) value[k, :] (Vaswani et
//   al. 2017, eq. 1)
// Queries, keys, values and context have AttentionOptions::precision.
struct AttentionTask {
  std::int64_t seq_len = 0;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  HeadView query;  // not for ReuseHead
  HeadView key;    // not for ReuseHead
  HeadView value;
  RelativeBias bias;  // not for ReuseHead
  // ComputeHead writes what is not null, ReuseHead reads probs and sums, RecomputeHead reads maxima
  // and sums.
  ScoreBlock scores;
  void* context = nullptr;  // row q of the sequence at context + q * context_stride
  std::int64_t context_stride = 0;
  std::byte* scratch = nullptr;  // scratch_bytes(), aligned to a cache line
};

struct AttentionOptions {
  DType precision = DType::kF32;  // kF32 or kBF16
  DType score_format =
      DType::kF32;  // kF32 or kBF16; scores are rounded to it whether they are stored or not
  std::int64_t head_dim = 0;
  float scale = 1.0f;  // 1 / sqrt(head_dim) for BERT
  std::int64_t max_seq_len = 0;
};

// The kernels for one kind of attention, chosen once. Immutable, thread-safe. Numbers depend on the
// sequence alone: not on the split into rows, on other sequences or on threads. A ReuseHead or
// RecomputeHead on the block that ComputeHead wrote gives the bits that ComputeHead gives on the
// same values.
class Attention {
 public:
  explicit Attention(const AttentionOptions& options);

  void ComputeHead(const AttentionTask& task) const { compute_(options_, task); }
  void ReuseHead(const AttentionTask& task) const { reuse_(options_, task); }
  // From the queries and keys of the head that computed, with its row maxima and sums: each score
  // is turned into its probability while it is in a register.
  void RecomputeHead(const AttentionTask& task) const { recompute_(options_, task); }

  const AttentionOptions& options() const { return options_; }
  std::int64_t scratch_bytes() const;  // per worker
  // Scores of a query are calculated for this many keys at once: a sequence of n tokens takes the
  // next multiple of it.
  std::int64_t key_step() const { return key_step_; }

 private:
  using Kernel = void (*)(const AttentionOptions&, const AttentionTask&);
  AttentionOptions options_;
  Kernel compute_;
  Kernel reuse_;
  Kernel recompute_;
  std::int64_t key_step_;
  std::int64_t block_rows_;  // query rows that the kernels take at once
};

}  // namespace reprise::engine::ops
