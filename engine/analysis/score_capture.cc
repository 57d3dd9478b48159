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

// Elements of the scores of texts within the limits: no row is wider than the longest text's.
std::int64_t ScoreElements(const BertConfig& config, ScoreCapture::Limits limits) {
  return std::int64_t{config.num_layers} * config.num_heads *
         std::max(limits.max_tokens, limits.max_seq_len) * RowStride(limits.max_seq_len);
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
                           Limits limits)
    : config_(config),
      weights_(weights),
      max_seq_len_(limits.max_seq_len),
      max_tokens_(std::max(limits.max_tokens, limits.max_seq_len)),
      kernels_({.head_dim = config.head_dim(),
                .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim())),
                .max_seq_len = limits.max_seq_len}) {}

absl::StatusOr<std::unique_ptr<ScoreCapture>> ScoreCapture::Create(
    const BertConfig& config, const architectures::BertWeights& weights, Limits limits) {
  REPRISE_RETURN_IF_ERROR(CheckPlan(config));
  std::unique_ptr<ScoreCapture> capture(new ScoreCapture(config, weights, limits));
  REPRISE_RETURN_IF_ERROR(capture->Allocate());
  return capture;
}

std::int64_t ScoreCapture::BytesFor(const BertConfig& config, Limits limits) {
  const std::int64_t columns =
      (7 + config.num_layers) * std::int64_t{config.hidden_size} + config.intermediate_size;
  return static_cast<std::int64_t>(sizeof(float)) *
         (ScoreElements(config, limits) +
          ops::RoundedRows(std::max(limits.max_tokens, limits.max_seq_len)) * columns);
}

absl::Status ScoreCapture::Allocate() {
  const auto dense = [&](std::int64_t columns) {
    return PanelLayout::Dense(columns, max_tokens_, DType::kF32).bytes();
  };
  const auto allocate = [](memory::Buffer* buffer, std::int64_t bytes) -> absl::Status {
    REPRISE_ASSIGN_OR_RETURN(*buffer, memory::Buffer::Allocate(Purpose::kScratch, bytes));
    return absl::OkStatus();
  };
  std::int64_t scratch = kernels_.scratch_bytes();
  std::int64_t projected = 0, intermediate = 0, delta = 0;
  for (const layers::EncoderLayer& layer : weights_.layers) {
    const auto grow = [&](const ops::Linear& linear, std::int64_t* bytes) {
      *bytes = std::max(*bytes, linear.output(max_tokens_).bytes());
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
  REPRISE_RETURN_IF_ERROR(allocate(&probs_, ScoreElements(config_, {max_seq_len_, max_tokens_}) *
                                                static_cast<std::int64_t>(sizeof(float))));
  REPRISE_RETURN_IF_ERROR(
      allocate(&values_, config_.num_layers * max_tokens_ * config_.hidden_size *
                             static_cast<std::int64_t>(sizeof(float))));
  return allocate(&sums_, max_seq_len_ * static_cast<std::int64_t>(sizeof(float)));
}

// A post-LN block's next operand is the residual stream itself.
float* ScoreCapture::operand() const {
  return config_.norm_first ? operand_.as<float>() : hidden_.as<float>();
}

CapturedScores ScoreCapture::Run(std::span<const std::int32_t> ids,
                                 std::span<const std::int32_t> type_ids) {
  const std::int32_t cu_seqlens[] = {0, static_cast<std::int32_t>(ids.size())};
  RunBatch(cu_seqlens, ids, type_ids);
  return scores(0);
}

void ScoreCapture::RunBatch(std::span<const std::int32_t> cu_seqlens,
                            std::span<const std::int32_t> ids,
                            std::span<const std::int32_t> type_ids) {
  Begin(cu_seqlens, ids, type_ids);
  for (int layer = 0; layer < config_.num_layers; ++layer) {
    Attend(layer);
    Finish(layer);
  }
  End();
}

CapturedScores ScoreCapture::scores(int text) const {
  const Text& of = texts_[text];
  return {of.seq_len, of.row_stride, of.probs, of.values, of.residual_squares};
}

void ScoreCapture::Begin(std::span<const std::int32_t> cu_seqlens,
                         std::span<const std::int32_t> ids,
                         std::span<const std::int32_t> type_ids) {
  const device::ExecutionScope scope;
  PlaceTexts(cu_seqlens);
  REPRISE_CHECK(tokens_ == static_cast<std::int64_t>(ids.size()));
  ops::SumEmbeddings(team_, {cu_seqlens, ids, type_ids, {}},
                     {weights_.token_embeddings.data(), weights_.position_embeddings.data(),
                      weights_.type_embeddings.data()},
                     hidden());
  const ops::LayerNormWeights norm = weights_.embedding_norm.view();
  ops::AddLayerNorm(team_, {.hidden = hidden(), .norm = &norm, .order = ops::NormOrder::kPost});
}

void ScoreCapture::PlaceTexts(std::span<const std::int32_t> cu_seqlens) {
  tokens_ = cu_seqlens.back();
  REPRISE_CHECK(tokens_ <= max_tokens_);
  texts_.resize(cu_seqlens.size() - 1);
  float* probs = probs_.as<float>();
  float* values = values_.as<float>();
  const std::int64_t heads = std::int64_t{config_.num_layers} * config_.num_heads;
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const std::int64_t seq_len = cu_seqlens[i + 1] - cu_seqlens[i];
    REPRISE_CHECK(seq_len >= 1 && seq_len <= max_seq_len_);
    texts_[i] = {cu_seqlens[i], seq_len, RowStride(seq_len),
                 probs,         values,  std::vector<double>(config_.num_layers)};
    probs += heads * seq_len * RowStride(seq_len);
    values += heads * seq_len * config_.head_dim();
  }
}

void ScoreCapture::End() {
  if (!weights_.final_norm) return;
  const device::ExecutionScope scope;
  const ops::LayerNormWeights norm = weights_.final_norm->view();
  ops::AddLayerNorm(team_, {.hidden = hidden(), .norm = &norm, .order = ops::NormOrder::kPost});
}

void ScoreCapture::Attend(int layer, const HeadSources* sources) {
  const device::ExecutionScope scope;
  const layers::AttentionWeights& weights = *weights_.layers[layer].attention;
  if (config_.norm_first) {
    const ops::LayerNormWeights norm = weights.norm.view();
    ops::AddLayerNorm(
        team_,
        {.hidden = hidden(), .norm = &norm, .order = ops::NormOrder::kPre, .operand = operand()});
  }
  weights.input_projection.Run(team_, {operand(), max_tokens_}, {projected_.data(), max_tokens_},
                               tokens_, scratch_.data());
  for (const Text& text : texts_) {
    for (int head = 0; head < config_.num_heads; ++head) {
      const int number = layer * config_.num_heads + head;
      const ops::AttentionTask task = TaskOf(layer, head, text);
      KeepValues(number, text, task.value);
      if (sources == nullptr || sources->source[number] == number) {
        ComputeHead(number, text, task);
      } else {
        ReuseHead(number, *sources, text, task);
      }
    }
  }
}

// What computing and reusing a head have in common, and its queries, keys and bias.
ops::AttentionTask ScoreCapture::TaskOf(int layer, int head, const Text& text) const {
  const layers::AttentionWeights& weights = *weights_.layers[layer].attention;
  const PanelLayout layout = weights.input_projection.output(max_tokens_);
  const std::int64_t head_dim = config_.head_dim();
  // Columns of query, key or value `part` of the head.
  const auto view = [&](int part) {
    const std::int64_t column = (std::int64_t{part} * config_.num_heads + head) * head_dim;
    const std::int64_t panel = column / layout.panel_columns;
    return ops::HeadView{projected_.as<float>() + layout.offset(panel, text.first_token) +
                             column % layout.panel_columns,
                         layout.width(panel)};
  };
  ops::AttentionTask task;
  task.seq_len = task.rows = text.seq_len;
  task.query = view(0);
  task.key = view(1);
  task.value = view(2);
  if (config_.relative_position_max > 0) {
    const std::int64_t bias_width = 2 * std::int64_t{config_.relative_position_max} - 1;
    task.bias = {weights.relative_bias.data() + head * bias_width, config_.relative_position_max,
                 nullptr};
  }
  task.context = context_.as<float>() + text.first_token * width() + head * head_dim;
  task.context_stride = width();
  task.scratch = scratch_.data();
  return task;
}

void ScoreCapture::ComputeHead(int number, const Text& text, ops::AttentionTask task) {
  task.scores = {text.row(number, 0), sums_.as<float>(), nullptr, text.row_stride};
  kernels_.ComputeHead(task);
  for (std::int64_t query = 0; query < text.seq_len; ++query) {
    float* row = text.row(number, query);
    for (std::int64_t key = 0; key < text.seq_len; ++key) row[key] *= sums_.as<float>()[query];
    std::fill(row + text.seq_len, row + text.row_stride, 0.0f);
  }
}

// w A (V - b) + b = w A V + (1 - w) b: the rows of A sum up to 1.
void ScoreCapture::ReuseHead(int number, const HeadSources& sources, const Text& text,
                             ops::AttentionTask task) {
  std::fill_n(sums_.as<float>(), text.seq_len, 1.0f);
  task.scores = {text.row(sources.source[number], 0), sums_.as<float>(), nullptr, text.row_stride};
  kernels_.ReuseHead(task);
  const std::int64_t head_dim = config_.head_dim();
  const float scale = sources.value_scale[number];
  const float* bias = sources.value_bias.data() + number * head_dim;
  for (std::int64_t token = 0; token < text.seq_len; ++token) {
    float* context = static_cast<float*>(task.context) + token * task.context_stride;
    for (std::int64_t i = 0; i < head_dim; ++i) {
      context[i] = scale * context[i] + (1 - scale) * bias[i];
    }
  }
}

void ScoreCapture::KeepValues(int number, const Text& text, const ops::HeadView& value) {
  const std::int64_t head_dim = config_.head_dim();
  float* values = text.values + number * text.seq_len * head_dim;
  for (std::int64_t token = 0; token < text.seq_len; ++token) {
    const float* from = static_cast<const float*>(value.data) + token * value.row_stride;
    std::copy(from, from + head_dim, values + token * head_dim);
  }
}

void ScoreCapture::AddProjected(int layer, MatrixView<float> to) {
  const device::ExecutionScope scope;
  const ops::Linear& projection = weights_.layers[layer].attention->output_projection;
  projection.Run(team_, {context_.data(), max_tokens_}, {delta_.data(), max_tokens_}, tokens_,
                 scratch_.data());
  const PanelLayout layout = projection.output(max_tokens_);
  for (std::int64_t token = 0; token < tokens_; ++token) {
    for (std::int64_t column = 0; column < width(); ++column) {
      const std::int64_t panel = column / layout.panel_columns;
      to.row(token)[column] +=
          delta_.as<float>()[layout.offset(panel, token) + column % layout.panel_columns];
    }
  }
}

void ScoreCapture::Finish(int layer, const ops::Linear* output) {
  const device::ExecutionScope scope;
  const layers::AttentionWeights& attention = *weights_.layers[layer].attention;
  const layers::FeedForwardWeights& feed_forward = weights_.layers[layer].feed_forward;
  if (output == nullptr) output = &attention.output_projection;
  output->Run(team_, {context_.data(), max_tokens_}, {delta_.data(), max_tokens_}, tokens_,
              scratch_.data());
  for (Text& text : texts_) text.residual_squares[layer] = ResidualSquares(*output, text);
  AddNorm(*output, config_.norm_first ? &feed_forward.norm : &attention.norm);
  feed_forward.up.Run(team_, {operand(), max_tokens_}, {intermediate_.data(), max_tokens_}, tokens_,
                      scratch_.data());
  feed_forward.down.Run(team_, {intermediate_.data(), max_tokens_}, {delta_.data(), max_tokens_},
                        tokens_, scratch_.data());
  AddNorm(feed_forward.down, config_.norm_first ? nullptr : &feed_forward.norm);
}

// Of the residual stream with what `linear` gave.
double ScoreCapture::ResidualSquares(const ops::Linear& linear, const Text& text) const {
  const PanelLayout layout = linear.output(max_tokens_);
  double squares = 0;
  for (std::int64_t i = 0; i < text.seq_len; ++i) {
    const std::int64_t token = text.first_token + i;
    const float* hidden = hidden_.as<float>() + token * width();
    double sum = 0, sum_of_squares = 0;
    for (std::int64_t panel = 0; panel * layout.panel_columns < width(); ++panel) {
      const float* delta = delta_.as<float>() + layout.offset(panel, token);
      for (std::int64_t column = 0; column < layout.width(panel); ++column) {
        const double value = double{hidden[panel * layout.panel_columns + column]} + delta[column];
        sum += value;
        sum_of_squares += value * value;
      }
    }
    squares += sum_of_squares - sum * sum / static_cast<double>(width());
  }
  return squares;
}

// Adds what `linear` gave to the residual stream; norm null: no more than that.
void ScoreCapture::AddNorm(const ops::Linear& linear, const layers::LayerNorm* norm) {
  ops::LayerNormWeights view;
  if (norm != nullptr) view = norm->view();
  ops::AddLayerNorm(team_,
                    {.hidden = hidden(),
                     .delta = delta_.as<float>(),
                     .delta_layout = linear.output(max_tokens_),
                     .norm = norm != nullptr ? &view : nullptr,
                     .order = config_.norm_first ? ops::NormOrder::kPre : ops::NormOrder::kPost,
                     .operand = config_.norm_first ? operand_.data() : nullptr});
}

}  // namespace reprise::engine::analysis
