// Runs texts through a model layer by layer and keeps the attention probabilities of all heads.
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

// Heads that take other heads' scores, on a model whose heads all compute their own: what a
// converted model does, before any weight is written. Head h of layer l is number l * heads + h.
struct HeadSources {
  std::vector<int> source;         // a head of an earlier layer, or the head itself
  std::vector<float> value_scale;  // of the values without their bias; 1 for a head that computes
  std::vector<float> value_bias;   // [layers * heads * head_dim], of the model
};

// By the kernels that serve, in fp32, with one thread: the same probabilities as an executor's. Not
// thread-safe; several may share config and weights, which must outlive them.
//
// A text is run at once by Run, or in steps: Begin, then for each layer Attend and Finish, then
// End. Between steps the residual stream may be read and replaced.
class ScoreCapture {
 public:
  // Of what is run at once.
  struct Limits {
    std::int64_t max_seq_len = 0;
    std::int64_t max_tokens = 0;  // of all texts together; at least max_seq_len is assumed
  };
  // `weights` as packed in fp32. InvalidArgument for a plan that reuses heads or leaves attention
  // out; ResourceExhausted when the memory for texts within the limits cannot be had.
  static absl::StatusOr<std::unique_ptr<ScoreCapture>> Create(
      const architectures::BertConfig& config, const architectures::BertWeights& weights,
      Limits limits);
  // What Create takes beside the weights.
  static std::int64_t BytesFor(const architectures::BertConfig& config, Limits limits);

  // The scores are valid until the next Run. Requires: ids within the vocabulary, 1 to max_seq_len
  // of them; type_ids of the same length, or empty: all 0.
  CapturedScores Run(std::span<const std::int32_t> ids, std::span<const std::int32_t> type_ids);

  // All steps on several texts. Requires: cu_seqlens as in RaggedBatch, within the limits, and the
  // ids of Run.
  void RunBatch(std::span<const std::int32_t> cu_seqlens, std::span<const std::int32_t> ids,
                std::span<const std::int32_t> type_ids);

  // Embeddings. The requirements of RunBatch.
  void Begin(std::span<const std::int32_t> cu_seqlens, std::span<const std::int32_t> ids,
             std::span<const std::int32_t> type_ids);
  // Scores and contexts of a layer's heads. A head whose source is another takes that one's scores
  // of these texts, and of its values the scale; sources null: every head computes. Requires: the
  // layers before were run, at least once on these texts.
  void Attend(int layer, const HeadSources* sources = nullptr);
  // Projects the contexts, adds them to the residual stream, and runs the feed-forward part.
  // output: in place of the layer's own output projection, of the same shape; null: that.
  void Finish(int layer, const ops::Linear* output = nullptr);
  // The norm behind the last layer, where the model has one.
  void End();

  int num_texts() const { return static_cast<int>(texts_.size()); }
  CapturedScores scores(int text) const;
  // [tokens, hidden_size]: before Attend the layer's input, after End the last hidden state.
  MatrixView<float> hidden() { return {hidden_.as<float>(), tokens_, width(), width()}; }
  MatrixView<const float> last_hidden_state() const {
    return {hidden_.as<float>(), tokens_, width(), width()};
  }
  // [tokens, hidden_size], after Attend: the contexts of all heads side by side.
  MatrixView<const float> contexts() const {
    return {context_.as<float>(), tokens_, width(), width()};
  }
  // After Attend: adds to `to` [tokens, hidden_size] what the layer's own output projection makes
  // of the contexts.
  void AddProjected(int layer, MatrixView<float> to);

 private:
  // A text's place among those that are run.
  struct Text {
    std::int64_t first_token = 0;
    std::int64_t seq_len = 0;
    std::int64_t row_stride = 0;
    float* probs = nullptr;                // [layers * heads, seq_len, row_stride]
    float* values = nullptr;               // [layers * heads, seq_len, head_dim]
    std::vector<double> residual_squares;  // [layers]

    float* row(std::int64_t head, std::int64_t query) const {
      return probs + (head * seq_len + query) * row_stride;
    }
  };

  ScoreCapture(const architectures::BertConfig& config, const architectures::BertWeights& weights,
               Limits limits);
  absl::Status Allocate();
  std::int64_t width() const { return config_.hidden_size; }
  void PlaceTexts(std::span<const std::int32_t> cu_seqlens);
  ops::AttentionTask TaskOf(int layer, int head, const Text& text) const;
  void ComputeHead(int number, const Text& text, ops::AttentionTask task);
  void ReuseHead(int number, const HeadSources& sources, const Text& text, ops::AttentionTask task);
  void KeepValues(int number, const Text& text, const ops::HeadView& value);
  void AddNorm(const ops::Linear& linear, const layers::LayerNorm* norm);
  double ResidualSquares(const ops::Linear& linear, const Text& text) const;
  float* operand() const;

  const architectures::BertConfig& config_;
  const architectures::BertWeights& weights_;
  const std::int64_t max_seq_len_;
  const std::int64_t max_tokens_;
  device::ThreadTeam team_{{.threads = 1}};
  ops::Attention kernels_;
  std::int64_t tokens_ = 0;
  std::vector<Text> texts_;
  memory::Buffer hidden_, operand_, projected_, context_, intermediate_, delta_, scratch_;
  memory::Buffer probs_, sums_, values_;
};

}  // namespace reprise::engine::analysis
