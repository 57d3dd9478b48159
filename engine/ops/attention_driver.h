// The order of work inside one head, shared by the kernels of every instruction set.
//
// A head's keys and values are first packed into the layout of the arithmetic unit, in scratch that
// stays in L2. Then blocks of a few query rows go through scores, softmax and context while their
// row of scores is in L1; the n x n matrix exists only where the score cache asked for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/memory/buffer.h"
#include "engine/ops/attention.h"

namespace reprise::engine::ops::internal {

inline constexpr std::int64_t kKeyPadding = 64;  // widest step of any kernel over keys
inline constexpr std::int64_t kHeadPadding = 64;

// Where the parts of the scratch lie, in bytes. One layout serves all kernels: 4-byte elements,
// padded to the widest step.
struct ScratchLayout {
  std::int64_t padded_keys;
  std::int64_t padded_head;
  std::int64_t keys = 0;     // packed keys   [padded_head, padded_keys]
  std::int64_t values;       // packed values [padded_keys, padded_head]
  std::int64_t queries;      // packed query rows [block_rows, padded_head]
  std::int64_t scores;       // fp32 [block_rows, padded_keys]
  std::int64_t probs;        // in the kernel's own type [block_rows, padded_keys]
  std::int64_t row_factors;  // 1 / row sum [block_rows]
  std::int64_t bytes;

  ScratchLayout(std::int64_t seq_len, std::int64_t head_dim, std::int64_t block_rows)
      : padded_keys(memory::AlignUp(seq_len, kKeyPadding)),
        padded_head(memory::AlignUp(head_dim, kHeadPadding)) {
    const std::int64_t matrix = padded_keys * padded_head * 4;
    values = keys + matrix;
    queries = values + matrix;
    scores = queries + block_rows * padded_head * 4;
    probs = scores + block_rows * padded_keys * 4;
    row_factors = probs + block_rows * padded_keys * 4;
    bytes = row_factors + memory::AlignUp(block_rows * 4, memory::kAlignment);
  }
};

// Adds the relative bias of query row `row` to its scaled scores.
inline void AddRelativeBias(const RelativeBias& bias, std::int64_t row, std::int64_t seq_len,
                            float* scores) {
  const std::int64_t last = 2 * bias.max_distance - 2;
  const std::int64_t origin = bias.positions != nullptr ? bias.positions[row] : row;
  for (std::int64_t key = 0; key < seq_len; ++key) {
    const std::int64_t position = bias.positions != nullptr ? bias.positions[key] : key;
    scores[key] +=
        bias.table[std::clamp<std::int64_t>(position - origin + bias.max_distance - 1, 0, last)];
  }
}

// `Kernels` has the types and functions of one instruction set:
//
//   Prob, kBlockRows
//     element of stored scores, query rows that go through all steps together
//   PackKeys(view, n, head_dim, out), PackValues(view, n, head_dim, out)
//   PackQueries(view, row, rows, head_dim, out)
//   Scores(queries, keys, rows, n, head_dim, out, out_stride, maxima)
//     raw products, fp32, and the largest of each row
//   Softmax(scores, n, scale, maximum, out) -> row sum
//     unnormalised, zero up to the next even column; may overwrite the scores
//   Probs(queries, keys, rows, n, head_dim, scale, maxima, out, out_stride, spare, spare_stride)
//     what Scores and Softmax give, with maxima known beforehand; zero up to the next key step
//   Context(probs, prob_stride, values, factors, rows, n, head_dim, out, first_row, out_stride,
//           spare, spare_stride)
template <typename Kernels>
class HeadRunner {
 public:
  HeadRunner(const AttentionOptions& options, const AttentionTask& task)
      : options_(options), task_(task), layout_(task.seq_len, options.head_dim, kBlockRows) {}

  void Compute() {
    Kernels::PackKeys(task_.key, task_.seq_len, options_.head_dim, At(layout_.keys));
    Kernels::PackValues(task_.value, task_.seq_len, options_.head_dim, At(layout_.values));
    ForEachBlock([&](std::int64_t row, std::int64_t rows) {
      auto* scores = reinterpret_cast<float*>(At(layout_.scores));
      Kernels::PackQueries(task_.query, row, rows, options_.head_dim, At(layout_.queries));
      float maxima[kBlockRows];
      Kernels::Scores(At(layout_.queries), At(layout_.keys), rows, task_.seq_len, options_.head_dim,
                      scores, layout_.padded_keys, maxima);
      for (std::int64_t r = 0; r < rows; ++r) {
        Factors()[r] = SoftmaxRow(row + r, scores + r * layout_.padded_keys, maxima[r],
                                  BlockProbs(row) + r * ProbStride());
      }
      Keep(row, rows, maxima);
      WriteContext(row, rows, BlockProbs(row), ProbStride());
    });
  }

  void Recompute() {
    if (task_.bias.table != nullptr) {  // added in memory, so there is nothing to win
      AttentionTask computing = task_;
      computing.scores = {};
      return HeadRunner(options_, computing).Compute();
    }
    Kernels::PackKeys(task_.key, task_.seq_len, options_.head_dim, At(layout_.keys));
    Kernels::PackValues(task_.value, task_.seq_len, options_.head_dim, At(layout_.values));
    auto* probs = reinterpret_cast<Prob*>(At(layout_.probs));
    ForEachBlock([&](std::int64_t row, std::int64_t rows) {
      Kernels::PackQueries(task_.query, row, rows, options_.head_dim, At(layout_.queries));
      Kernels::Probs(At(layout_.queries), At(layout_.keys), rows, task_.seq_len, options_.head_dim,
                     options_.scale, task_.scores.row_maxima + row, probs, layout_.padded_keys,
                     reinterpret_cast<float*>(At(layout_.scores)), layout_.padded_keys);
      std::copy_n(task_.scores.inverse_row_sums + row, rows, Factors());
      WriteContext(row, rows, probs, layout_.padded_keys);
    });
  }

  void Reuse() {
    Kernels::PackValues(task_.value, task_.seq_len, options_.head_dim, At(layout_.values));
    ForEachBlock([&](std::int64_t row, std::int64_t rows) {
      std::copy_n(task_.scores.inverse_row_sums + row, rows, Factors());
      WriteContext(row, rows, BlockProbs(row), ProbStride());
    });
  }

 private:
  using Prob = typename Kernels::Prob;
  static constexpr std::int64_t kBlockRows = Kernels::kBlockRows;

  std::byte* At(std::int64_t offset) const { return task_.scratch + offset; }
  float* Factors() const { return reinterpret_cast<float*>(At(layout_.row_factors)); }
  bool stored() const { return task_.scores.probs != nullptr; }
  std::int64_t ProbStride() const {
    return stored() ? task_.scores.row_stride : layout_.padded_keys;
  }
  // Row `row` of the block: in the score cache when it is kept, else at the start of the scratch.
  Prob* BlockProbs(std::int64_t row) const {
    if (stored()) return static_cast<Prob*>(task_.scores.probs) + row * task_.scores.row_stride;
    return reinterpret_cast<Prob*>(At(layout_.probs));
  }

  template <typename Body>
  void ForEachBlock(Body body) const {
    const std::int64_t end = task_.first_row + task_.rows;
    for (std::int64_t row = task_.first_row; row < end; row += kBlockRows) {
      body(row, std::min(kBlockRows, end - row));
    }
  }

  // Turns the raw scores of query `row` into unnormalised probabilities; the reciprocal of their
  // sum.
  float SoftmaxRow(std::int64_t row, float* scores, float maximum, Prob* probs) const {
    float scale = options_.scale;
    if (task_.bias.table != nullptr) {
      for (std::int64_t key = 0; key < task_.seq_len; ++key) scores[key] *= scale;
      AddRelativeBias(task_.bias, row, task_.seq_len, scores);
      scale = 1.0f;
      maximum = *std::max_element(scores, scores + task_.seq_len);
    }
    return 1.0f / Kernels::Softmax(scores, task_.seq_len, scale, maximum, probs);
  }

  void Keep(std::int64_t row, std::int64_t rows, const float* maxima) const {
    const ScoreBlock& kept = task_.scores;
    if (kept.inverse_row_sums != nullptr) std::copy_n(Factors(), rows, kept.inverse_row_sums + row);
    if (kept.row_maxima != nullptr) std::copy_n(maxima, rows, kept.row_maxima + row);
  }

  void WriteContext(std::int64_t row, std::int64_t rows, const Prob* probs,
                    std::int64_t prob_stride) const {
    // The raw scores are spent by now, so their place may hold widened probabilities.
    Kernels::Context(probs, prob_stride, At(layout_.values), Factors(), rows, task_.seq_len,
                     options_.head_dim, task_.context, row, task_.context_stride,
                     reinterpret_cast<float*>(At(layout_.scores)), layout_.padded_keys);
  }

  const AttentionOptions& options_;
  const AttentionTask& task_;
  ScratchLayout layout_;
};

}  // namespace reprise::engine::ops::internal
