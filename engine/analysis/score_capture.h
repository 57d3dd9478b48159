// Runs one text through a model and keeps the attention probabilities of all heads of all layers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/memory/buffer.h"
#include "engine/ops/attention.h"
#include "engine/tensor/matrix_view.h"

namespace reprise::engine::analysis {

// Post-softmax scores of one text, fp32, and what they weigh. Head h of layer l is number l * heads
// + h.
struct CapturedScores {
  std::int64_t seq_len = 0;
  std::int64_t row_stride = 0;    // elements, a multiple of 16; columns past seq_len are 0
  const float* probs = nullptr;   // [layers * heads, seq_len, row_stride]
  const float* values = nullptr;  // [layers * heads, seq_len, head_dim], biases included
  // Of each layer, sum over tokens and columns of (x - mean of the token's x)^2, where x is the
  // residual stream with the attention's output: what the norm behind it divides by.
  std::span<const double> residual_squares;

  const float* row(std::int64_t head, std::int64_t query) const {
    return probs + (head * seq_len + query) * row_stride;
  }
};

// By the kernels that serve, in fp32, with one thread: the same probabilities as an executor's. Not
// thread-safe; several may share config and weights, which must outlive them.
class ScoreCapture {
 public:
  // `weights` as packed in fp32. InvalidArgument for a plan that reuses heads or leaves attention
  // out; ResourceExhausted when the memory for texts of `max_seq_len` tokens cannot be had.
  static absl::StatusOr<std::unique_ptr<ScoreCapture>> Create(
      const architectures::BertConfig& config, const architectures::BertWeights& weights,
      std::int64_t max_seq_len);
  // What Create takes beside the weights.
  static std::int64_t BytesFor(const architectures::BertConfig& config, std::int64_t max_seq_len);

  // The scores are valid until the next Run. Requires: ids within the vocabulary, 1 to max_seq_len
  // of them; type_ids of the same length, or empty: all 0.
  CapturedScores Run(std::span<const std::int32_t> ids, std::span<const std::int32_t> type_ids);
  // Of the text last run: [seq_len, hidden_size].
  MatrixView<const float> last_hidden_state() const;

 private:
  ScoreCapture(const architectures::BertConfig& config, const architectures::BertWeights& weights,
               std::int64_t max_seq_len);
  absl::Status Allocate();
  void RunAttention(int layer, CapturedScores* scores);
  void RunFeedForward(int layer);
  void AddNorm(const ops::Linear& linear, const layers::LayerNorm* norm);
  double ResidualSquares(const ops::Linear& linear) const;
  const layers::LayerNorm* FirstNormOf(int layer) const;
  float* operand() const;

  const architectures::BertConfig& config_;
  const architectures::BertWeights& weights_;
  const std::int64_t max_seq_len_;
  device::ThreadTeam team_{{.threads = 1}};
  ops::Attention kernels_;
  std::int64_t seq_len_ = 0;
  memory::Buffer hidden_, operand_, projected_, context_, intermediate_, delta_, scratch_;
  memory::Buffer probs_, sums_, values_;
  std::vector<double> residual_squares_;
};

}  // namespace reprise::engine::analysis
