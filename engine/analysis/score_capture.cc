#include "engine/analysis/score_capture.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/ops/embedding.h"
#include "engine/ops/layer_norm.h"

namespace reprise::engine::analysis {
namespace {

using architectures::BertConfig;
using memory::Purpose;
using ops::PanelLayout;

constexpr std::int64_t kStrideStep = 16;  // elements: one cache line

std::int64_t RowStride(std::int64_t seq_len) { return memory::AlignUp(seq_len, kStrideStep); }

// Elements of the scores of a text.
std::int64_t ScoreElements(const BertConfig& config, std::int64_t seq_len) {
  return std::int64_t{config.num_layers} * config.num_heads * seq_len * RowStride(seq_len);
}

absl::Status CheckPlan(const BertConfig& config) {
  bool whole = config.plan.is_exact();
  for (int layer = 0; layer < config.num_layers; ++layer) {
    whole = whole && config.plan.has_attention(layer);
  }
  if (whole) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the model's plan is ", config.plan.name(),
                   "; expected a model whose heads all compute their own scores"));
}

}  // namespace

ScoreCapture::ScoreCapture(const BertConfig& config, const architectures::BertWeights& weights,
                           std::int64_t max_seq_len)
    : config_(config),
      weights_(weights),
      max_seq_len_(max_seq_len),
      kernels_({.head_dim = config.head_dim(),
                .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim())),
                .max_seq_len = max_seq_len}) {}

absl::StatusOr<std::unique_ptr<ScoreCapture>> ScoreCapture::Create(
    const BertConfig& config, const architectures::BertWeights& weights, std::int64_t max_seq_len) {
  REPRISE_RETURN_IF_ERROR(CheckPlan(config));
  std::unique_ptr<ScoreCapture> capture(new ScoreCapture(config, weights, max_seq_len));
  REPRISE_RETURN_IF_ERROR(capture->Allocate());
  return capture;
}

std::int64_t ScoreCapture::BytesFor(const BertConfig& config, std::int64_t max_seq_len) {
  const std::int64_t columns =
      (7 + config.num_layers) * std::int64_t{config.hidden_size} + config.intermediate_size;
  return static_cast<std::int64_t>(sizeof(float)) *
         (ScoreElements(config, max_seq_len) + ops::RoundedRows(max_seq_len) * columns);
}

absl::Status ScoreCapture::Allocate() {
  const auto dense = [&](std::int64_t columns) {
    return PanelLayout::Dense(columns, max_seq_len_, DType::kF32).bytes();
  };
  const auto allocate = [](memory::Buffer* buffer, std::int64_t bytes) -> absl::Status {
    REPRISE_ASSIGN_OR_RETURN(*buffer, memory::Buffer::Allocate(Purpose::kScratch, bytes));
    return absl::OkStatus();
  };
  std::int64_t scratch = kernels_.scratch_bytes();
  std::int64_t projected = 0, intermediate = 0, delta = 0;
  for (const layers::EncoderLayer& layer : weights_.layers) {
    const auto grow = [&](const ops::Linear& linear, std::int64_t* bytes) {
      *bytes = std::max(*bytes, linear.output(max_seq_len_).bytes());
      scratch = std::max(scratch, linear.scratchpad_bytes());
    };
    grow(layer.attention->input_projection, &projected);
    grow(layer.attention->output_projection, &delta);
    grow(layer.feed_forward.up, &intermediate);
    grow(layer.feed_forward.down, &delta);
  }
  REPRISE_RETURN_IF_ERROR(allocate(&hidden_, dense(config_.hidden_size)));
  if (config_.norm_first) REPRISE_RETURN_IF_ERROR(allocate(&operand_, dense(config_.hidden_size)));
  REPRISE_RETURN_IF_ERROR(allocate(&projected_, projected));
  REPRISE_RETURN_IF_ERROR(allocate(&context_, dense(config_.hidden_size)));
  REPRISE_RETURN_IF_ERROR(allocate(&intermediate_, intermediate));
  REPRISE_RETURN_IF_ERROR(allocate(&delta_, delta));
  REPRISE_RETURN_IF_ERROR(allocate(&scratch_, scratch));
  REPRISE_RETURN_IF_ERROR(allocate(
      &probs_, ScoreElements(config_, max_seq_len_) * static_cast<std::int64_t>(sizeof(float))));
  residual_squares_.resize(config_.num_layers);
  REPRISE_RETURN_IF_ERROR(
      allocate(&values_, config_.num_layers * max_seq_len_ * config_.hidden_size *
                             static_cast<std::int64_t>(sizeof(float))));
  return allocate(&sums_, max_seq_len_ * static_cast<std::int64_t>(sizeof(float)));
}

// A post-LN block's next operand is the residual stream itself.
float* ScoreCapture::operand() const {
  return config_.norm_first ? operand_.as<float>() : hidden_.as<float>();
}

MatrixView<const float> ScoreCapture::last_hidden_state() const {
  return {hidden_.as<float>(), seq_len_, config_.hidden_size, config_.hidden_size};
}

CapturedScores ScoreCapture::Run(std::span<const std::int32_t> ids,
                                 std::span<const std::int32_t> type_ids) {
  const device::ExecutionScope scope;
  seq_len_ = static_cast<std::int64_t>(ids.size());
  REPRISE_CHECK(seq_len_ >= 1 && seq_len_ <= max_seq_len_);
  const std::int32_t cu_seqlens[] = {0, static_cast<std::int32_t>(seq_len_)};
  const MatrixView<float> hidden = {hidden_.as<float>(), seq_len_, config_.hidden_size,
                                    config_.hidden_size};
  ops::SumEmbeddings(team_, {cu_seqlens, ids, type_ids, {}},
                     {weights_.token_embeddings.data(), weights_.position_embeddings.data(),
                      weights_.type_embeddings.data()},
                     hidden);
  const ops::LayerNormWeights embedding_norm = weights_.embedding_norm.view();
  ops::AddLayerNorm(team_,
                    {.hidden = hidden, .norm = &embedding_norm, .order = ops::NormOrder::kPost});
  CapturedScores scores = {seq_len_, RowStride(seq_len_), probs_.as<float>(), values_.as<float>(),
                           residual_squares_};
  if (config_.norm_first) {
    const ops::LayerNormWeights norm = FirstNormOf(0)->view();
    ops::AddLayerNorm(
        team_,
        {.hidden = hidden, .norm = &norm, .order = ops::NormOrder::kPre, .operand = operand()});
  }
  for (int layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(layer, &scores);
    RunFeedForward(layer);
  }
  if (weights_.final_norm) {
    const ops::LayerNormWeights norm = weights_.final_norm->view();
    ops::AddLayerNorm(team_, {.hidden = hidden, .norm = &norm, .order = ops::NormOrder::kPost});
  }
  return scores;
}

void ScoreCapture::RunAttention(int layer, CapturedScores* scores) {
  const layers::AttentionWeights& weights = *weights_.layers[layer].attention;
  weights.input_projection.Run(team_, {operand(), max_seq_len_}, {projected_.data(), max_seq_len_},
                               seq_len_, scratch_.data());
  const PanelLayout layout = weights.input_projection.output(max_seq_len_);
  const std::int64_t head_dim = config_.head_dim();
  // Columns of query, key or value `part` of a head.
  const auto view = [&](int part, int head) {
    const std::int64_t column = (std::int64_t{part} * config_.num_heads + head) * head_dim;
    const std::int64_t panel = column / layout.panel_columns;
    return ops::HeadView{
        projected_.as<float>() + layout.offset(panel, 0) + column % layout.panel_columns,
        layout.width(panel)};
  };
  const std::int64_t bias_width = 2 * std::int64_t{config_.relative_position_max} - 1;
  for (int head = 0; head < config_.num_heads; ++head) {
    const std::int64_t number = std::int64_t{layer} * config_.num_heads + head;
    float* probs = probs_.as<float>() + number * seq_len_ * scores->row_stride;
    ops::AttentionTask task;
    task.seq_len = task.rows = seq_len_;
    task.query = view(0, head);
    task.key = view(1, head);
    task.value = view(2, head);
    if (config_.relative_position_max > 0) {
      task.bias = {weights.relative_bias.data() + head * bias_width, config_.relative_position_max,
                   nullptr};
    }
    task.scores = {probs, sums_.as<float>(), nullptr, scores->row_stride};
    task.context = context_.as<float>() + head * head_dim;
    task.context_stride = config_.hidden_size;
    task.scratch = scratch_.data();
    kernels_.ComputeHead(task);
    for (std::int64_t query = 0; query < seq_len_; ++query) {
      float* row = probs + query * scores->row_stride;
      for (std::int64_t key = 0; key < seq_len_; ++key) row[key] *= sums_.as<float>()[query];
      std::fill(row + seq_len_, row + scores->row_stride, 0.0f);
    }
    float* values = values_.as<float>() + number * seq_len_ * head_dim;
    for (std::int64_t token = 0; token < seq_len_; ++token) {
      const float* from =
          static_cast<const float*>(task.value.data) + token * task.value.row_stride;
      std::copy(from, from + head_dim, values + token * head_dim);
    }
  }
  weights.output_projection.Run(team_, {context_.data(), max_seq_len_},
                                {delta_.data(), max_seq_len_}, seq_len_, scratch_.data());
  residual_squares_[layer] = ResidualSquares(weights.output_projection);
  AddNorm(weights.output_projection,
          config_.norm_first ? &weights_.layers[layer].feed_forward.norm : &weights.norm);
}

void ScoreCapture::RunFeedForward(int layer) {
  const layers::FeedForwardWeights& weights = weights_.layers[layer].feed_forward;
  weights.up.Run(team_, {operand(), max_seq_len_}, {intermediate_.data(), max_seq_len_}, seq_len_,
                 scratch_.data());
  weights.down.Run(team_, {intermediate_.data(), max_seq_len_}, {delta_.data(), max_seq_len_},
                   seq_len_, scratch_.data());
  AddNorm(weights.down, config_.norm_first ? FirstNormOf(layer + 1) : &weights.norm);
}

// Pre-LN: the norm in front of the layer's attention; null past the last layer.
const layers::LayerNorm* ScoreCapture::FirstNormOf(int layer) const {
  return layer == config_.num_layers ? nullptr : &weights_.layers[layer].attention->norm;
}

// Of the residual stream with what `linear` gave.
double ScoreCapture::ResidualSquares(const ops::Linear& linear) const {
  const PanelLayout layout = linear.output(max_seq_len_);
  std::vector<double> row(config_.hidden_size);
  double squares = 0;
  for (std::int64_t token = 0; token < seq_len_; ++token) {
    double mean = 0;
    for (std::int64_t column = 0; column < config_.hidden_size; ++column) {
      const std::int64_t panel = column / layout.panel_columns;
      row[column] = double{hidden_.as<float>()[token * config_.hidden_size + column]} +
                    delta_.as<float>()[layout.offset(panel, token) + column % layout.panel_columns];
      mean += row[column] / config_.hidden_size;
    }
    for (const double value : row) squares += (value - mean) * (value - mean);
  }
  return squares;
}

// Adds what `linear` gave to the residual stream.
void ScoreCapture::AddNorm(const ops::Linear& linear, const layers::LayerNorm* norm) {
  ops::LayerNormWeights view;
  if (norm != nullptr) view = norm->view();
  ops::AddLayerNorm(
      team_, {.hidden = {hidden_.as<float>(), seq_len_, config_.hidden_size, config_.hidden_size},
              .delta = delta_.as<float>(),
              .delta_layout = linear.output(max_seq_len_),
              .norm = norm != nullptr ? &view : nullptr,
              .order = config_.norm_first ? ops::NormOrder::kPre : ops::NormOrder::kPost,
              .operand = config_.norm_first ? operand_.data() : nullptr});
}

}  // namespace reprise::engine::analysis
