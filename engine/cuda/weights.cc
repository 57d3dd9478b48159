#include "engine/cuda/weights.h"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"

namespace reprise::engine::cuda {
namespace {

namespace names = architectures::tensor_names;
using architectures::BertConfig;
using Floats = std::vector<float>;

// Of matrices: 16 bytes of bf16, what kernels and products load at once.
constexpr std::int64_t kColumnStep = 8;

// Rows of heads, `columns` wide: each head's rows are followed by zero rows up to `padded`.
Floats PadHeadRows(const Floats& rows, int head_dim, int padded, std::int64_t columns) {
  const std::int64_t heads = static_cast<std::int64_t>(rows.size()) / (head_dim * columns);
  Floats result(heads * padded * columns);
  for (std::int64_t head = 0; head < heads; ++head) {
    std::copy_n(rows.begin() + head * head_dim * columns, head_dim * columns,
                result.begin() + head * padded * columns);
  }
  return result;
}

class Uploader {
 public:
  Uploader(const BertConfig& config, const weights::WeightSource& source)
      : config_(config), source_(source), padded_(PaddedHeadDim(config.head_dim())) {}

  absl::StatusOr<Weights> Run(const architectures::BertParts& parts) {
    if (padded_ == 0) {
      return absl::UnimplementedError(
          absl::StrCat("heads of ", config_.head_dim(),
                       " numbers on a GPU; expected at most 128, or --device cpu"));
    }
    if (config_.hidden_size % kColumnStep != 0 || config_.hidden_size > kMaxHiddenSize) {
      return absl::UnimplementedError(
          absl::StrCat("hidden_size is ", config_.hidden_size, "; on a GPU expected a multiple of ",
                       kColumnStep, " up to ", kMaxHiddenSize, ", or --device cpu"));
    }
    const std::int64_t before = memory::MemoryAccount::Devices().bytes(memory::Purpose::kWeights);
    const std::int64_t hidden = config_.hidden_size;
    Weights weights;
    weights.padded_head_dim = padded_;
    weights.padded_intermediate_size = PaddedIntermediate();
    REPRISE_ASSIGN_OR_RETURN(weights.token_embeddings,
                             UploadTensor(names::kWordEmbeddings, {config_.vocab_size, hidden}));
    REPRISE_ASSIGN_OR_RETURN(
        weights.position_embeddings,
        UploadTensor(names::kPositionEmbeddings, {config_.max_position_embeddings, hidden}));
    REPRISE_ASSIGN_OR_RETURN(
        weights.type_embeddings,
        UploadTensor(names::kTokenTypeEmbeddings, {config_.type_vocab_size, hidden}));
    REPRISE_ASSIGN_OR_RETURN(weights.embedding_norm, UploadNorm(names::kEmbeddingNorm));
    weights.layers.resize(config_.num_layers);
    for (int layer = 0; layer < config_.num_layers; ++layer) {
      REPRISE_RETURN_IF_ERROR(UploadLayer(layer, &weights));
    }
    if (config_.final_layer_norm) {
      REPRISE_ASSIGN_OR_RETURN(weights.final_norm, UploadNorm(names::kFinalNorm));
    }
    if (parts.pooler) {
      REPRISE_ASSIGN_OR_RETURN(weights.pooler, UploadSmallDense(names::kPooler, hidden));
    }
    if (parts.num_labels > 0) {
      REPRISE_ASSIGN_OR_RETURN(weights.classifier,
                               UploadSmallDense(names::kClassifier, parts.num_labels));
    }
    weights.bytes = memory::MemoryAccount::Devices().bytes(memory::Purpose::kWeights) - before;
    return weights;
  }

 private:
  absl::StatusOr<Floats> Read(const std::string& name,
                              std::initializer_list<std::int64_t> shape) const {
    return source_.Read(name, std::span<const std::int64_t>(shape.begin(), shape.size()));
  }
  absl::StatusOr<DeviceBuffer> UploadTensor(const std::string& name,
                                            std::initializer_list<std::int64_t> shape) const {
    REPRISE_ASSIGN_OR_RETURN(const Floats values, Read(name, shape));
    return DeviceBuffer::Upload(memory::Purpose::kWeights, values);
  }

  absl::StatusOr<Norm> UploadNorm(const std::string& stem) const {
    Norm norm;
    norm.eps = config_.layer_norm_eps;
    REPRISE_ASSIGN_OR_RETURN(norm.gamma, UploadTensor(names::Weight(stem), {config_.hidden_size}));
    REPRISE_ASSIGN_OR_RETURN(norm.beta, UploadTensor(names::Bias(stem), {config_.hidden_size}));
    return norm;
  }

  absl::StatusOr<SmallDense> UploadSmallDense(const std::string& stem, std::int64_t out) const {
    SmallDense dense;
    REPRISE_ASSIGN_OR_RETURN(dense.weight,
                             UploadTensor(names::Weight(stem), {out, config_.hidden_size}));
    REPRISE_ASSIGN_OR_RETURN(dense.bias, UploadTensor(names::Bias(stem), {out}));
    return dense;
  }

  std::int64_t PaddedIntermediate() const {
    return (config_.intermediate_size + kColumnStep - 1) / kColumnStep * kColumnStep;
  }

  // Columns between the two that are there for padding stay 0: every activation has f(0) = 0.
  absl::Status UploadFeedForward(int layer, Layer* uploaded) const {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t intermediate = config_.intermediate_size;
    const std::string up = names::Intermediate(layer), down = names::Output(layer);
    REPRISE_ASSIGN_OR_RETURN(Floats up_weight, Read(names::Weight(up), {intermediate, hidden}));
    REPRISE_ASSIGN_OR_RETURN(Floats up_bias, Read(names::Bias(up), {intermediate}));
    REPRISE_ASSIGN_OR_RETURN(const Floats down_weight,
                             Read(names::Weight(down), {hidden, intermediate}));
    REPRISE_ASSIGN_OR_RETURN(const Floats down_bias, Read(names::Bias(down), {hidden}));
    up_weight.resize(PaddedIntermediate() * hidden);
    up_bias.resize(PaddedIntermediate());
    Floats wide(hidden * PaddedIntermediate());
    for (std::int64_t row = 0; row < hidden; ++row) {
      std::copy_n(down_weight.begin() + row * intermediate, intermediate,
                  wide.begin() + row * PaddedIntermediate());
    }
    REPRISE_ASSIGN_OR_RETURN(uploaded->up, Dense::Upload(up_weight, up_bias));
    REPRISE_ASSIGN_OR_RETURN(uploaded->down, Dense::Upload(wide, down_bias));
    return absl::OkStatus();
  }

  absl::Status UploadLayer(int layer, Weights* weights) const {
    Layer& uploaded = weights->layers[layer];
    if (config_.plan.has_attention(layer)) {
      REPRISE_RETURN_IF_ERROR(UploadAttention(layer, &uploaded.attention.emplace()));
      REPRISE_ASSIGN_OR_RETURN(uploaded.attention->roles, UploadRoles(layer, *weights));
    }
    REPRISE_RETURN_IF_ERROR(UploadFeedForward(layer, &uploaded));
    REPRISE_ASSIGN_OR_RETURN(uploaded.norm, UploadNorm(names::OutputNorm(layer)));
    return absl::OkStatus();
  }

  absl::Status UploadAttention(int layer, AttentionSublayer* uploaded) const {
    const std::int64_t hidden = config_.hidden_size;
    const auto computed = static_cast<std::int64_t>(config_.plan.computed_heads(layer).size());
    Floats weight;
    Floats bias;
    const auto append = [&](const std::string& stem, std::int64_t heads) -> absl::Status {
      const std::int64_t rows = heads * config_.head_dim();
      REPRISE_ASSIGN_OR_RETURN(const Floats read_weight, Read(names::Weight(stem), {rows, hidden}));
      REPRISE_ASSIGN_OR_RETURN(const Floats read_bias, Read(names::Bias(stem), {rows}));
      const Floats wide = PadHeadRows(read_weight, config_.head_dim(), padded_, hidden);
      const Floats long_bias = PadHeadRows(read_bias, config_.head_dim(), padded_, 1);
      weight.insert(weight.end(), wide.begin(), wide.end());
      bias.insert(bias.end(), long_bias.begin(), long_bias.end());
      return absl::OkStatus();
    };
    if (computed > 0) {
      REPRISE_RETURN_IF_ERROR(append(names::Query(layer), computed));
      REPRISE_RETURN_IF_ERROR(append(names::Key(layer), computed));
    }
    REPRISE_RETURN_IF_ERROR(append(names::Value(layer), config_.num_heads));
    REPRISE_ASSIGN_OR_RETURN(uploaded->input_projection, Dense::Upload(weight, bias));
    REPRISE_ASSIGN_OR_RETURN(uploaded->output_projection, UploadOutputProjection(layer));
    REPRISE_ASSIGN_OR_RETURN(uploaded->norm, UploadNorm(names::AttentionNorm(layer)));
    if (config_.relative_position_max > 0 && computed > 0) {
      REPRISE_ASSIGN_OR_RETURN(
          uploaded->relative_bias,
          UploadTensor(names::RelativePositionBias(layer), {computed, BiasWidth()}));
    }
    return absl::OkStatus();
  }

  // Its input has padded heads, so its weight has columns of zeros for them.
  absl::StatusOr<Dense> UploadOutputProjection(int layer) const {
    const std::int64_t hidden = config_.hidden_size;
    const std::string stem = names::AttentionOutput(layer);
    REPRISE_ASSIGN_OR_RETURN(const Floats weight, Read(names::Weight(stem), {hidden, hidden}));
    REPRISE_ASSIGN_OR_RETURN(const Floats bias, Read(names::Bias(stem), {hidden}));
    // A row is head_dim numbers for each head: rows of heads, one number wide.
    return Dense::Upload(PadHeadRows(weight, config_.head_dim(), padded_, 1), bias);
  }

  absl::StatusOr<DeviceBuffer> UploadRoles(int layer, const Weights& weights) const {
    const reuse::ReusePlan& plan = config_.plan;
    std::vector<HeadRole> roles(plan.num_heads());
    for (int head = 0; head < plan.num_heads(); ++head) {
      const reuse::HeadRef source = plan.source(layer, head);
      const std::vector<int>& computed = plan.computed_heads(source.layer);
      const auto ordinal = static_cast<std::int32_t>(
          std::lower_bound(computed.begin(), computed.end(), source.head) - computed.begin());
      roles[head].computed = source.layer == layer ? ordinal : -1;
      roles[head].slot = plan.score_slot(source.layer, source.head);
      if (config_.relative_position_max > 0) {
        roles[head].bias = weights.layers[source.layer].attention->relative_bias.as<float>() +
                           ordinal * BiasWidth();
      }
    }
    return DeviceBuffer::Upload(memory::Purpose::kWeights, roles);
  }

  std::int64_t BiasWidth() const { return 2 * std::int64_t{config_.relative_position_max} - 1; }

  const BertConfig& config_;
  const weights::WeightSource& source_;
  const int padded_;
};

}  // namespace

absl::StatusOr<Weights> UploadWeights(const BertConfig& config,
                                      const architectures::BertParts& parts,
                                      const weights::WeightSource& source) {
  return Uploader(config, source).Run(parts);
}

}  // namespace reprise::engine::cuda
