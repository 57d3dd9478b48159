#include "engine/architectures/bert_weights.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/architectures/tensor_names.h"
#include "engine/check.h"
#include "engine/memory/buffer.h"

namespace reprise::engine::architectures {
namespace {

namespace names = tensor_names;
using layers::EncoderLayer;
using layers::LayerNorm;
using ops::Epilogue;
using ops::Linear;

// Columns that one task of a matrix product computes, see ops::Linear: enough for full register
// blocks, few enough that a small batch still occupies several threads.
constexpr std::int64_t kOutputPanel = 192;
// The intermediate activations are the next product's input, where each panel costs a pass over the
// sums: fewer, wider panels.
constexpr std::int64_t kIntermediatePanel = 768;

std::int64_t IntermediatePanel(std::int64_t intermediate_size) {
  const std::int64_t panels = (intermediate_size + kIntermediatePanel - 1) / kIntermediatePanel;
  return memory::AlignUp((intermediate_size + panels - 1) / panels, 16);
}

Epilogue ToEpilogue(Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return Epilogue::kGeluErf;
    case Activation::kGeluTanh:
      return Epilogue::kGeluTanh;
    case Activation::kRelu:
      return Epilogue::kRelu;
  }
  return Epilogue::kNone;
}

// A dense layer as stored: weight [out, in], bias [out].
struct Dense {
  std::vector<float> weight;
  std::vector<float> bias;

  void Append(const Dense& other) {
    weight.insert(weight.end(), other.weight.begin(), other.weight.end());
    bias.insert(bias.end(), other.bias.begin(), other.bias.end());
  }
};

class Packer {
 public:
  Packer(const BertConfig& config, const weights::WeightSource& source, DType precision)
      : config_(config), source_(source), precision_(precision) {}

  absl::StatusOr<BertWeights> Pack(const BertParts& parts) {
    const std::int64_t hidden = config_.hidden_size;
    BertWeights packed;
    REPRISE_ASSIGN_OR_RETURN(packed.token_embeddings,
                             Read(names::kWordEmbeddings, {config_.vocab_size, hidden}));
    REPRISE_ASSIGN_OR_RETURN(
        packed.position_embeddings,
        Read(names::kPositionEmbeddings, {config_.max_position_embeddings, hidden}));
    REPRISE_ASSIGN_OR_RETURN(packed.type_embeddings,
                             Read(names::kTokenTypeEmbeddings, {config_.type_vocab_size, hidden}));
    REPRISE_ASSIGN_OR_RETURN(packed.embedding_norm, ReadNorm(names::kEmbeddingNorm));
    for (int layer = 0; layer < config_.num_layers; ++layer) {
      REPRISE_ASSIGN_OR_RETURN(EncoderLayer encoder_layer, PackLayer(layer));
      packed.layers.push_back(std::move(encoder_layer));
    }
    if (config_.final_layer_norm) {
      REPRISE_ASSIGN_OR_RETURN(packed.final_norm, ReadNorm(names::kFinalNorm));
    }
    // Pooler and classifier have one row per sequence, so fp32 costs nothing and keeps the logits
    // exact.
    if (parts.pooler) {
      REPRISE_ASSIGN_OR_RETURN(
          packed.pooler,
          PackDense(names::kPooler,
                    {.in_features = hidden, .out_features = hidden, .epilogue = Epilogue::kTanh}));
    }
    if (parts.num_labels > 0) {
      REPRISE_ASSIGN_OR_RETURN(
          packed.classifier,
          PackDense(names::kClassifier, {.in_features = hidden, .out_features = parts.num_labels}));
    }
    packed.packed_bytes = PackedBytes(packed);
    return packed;
  }

 private:
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::initializer_list<std::int64_t> shape) const {
    return source_.Read(name, std::span<const std::int64_t>(shape.begin(), shape.size()));
  }

  absl::StatusOr<LayerNorm> ReadNorm(const std::string& stem) const {
    LayerNorm norm;
    REPRISE_ASSIGN_OR_RETURN(norm.gamma, Read(names::Weight(stem), {config_.hidden_size}));
    REPRISE_ASSIGN_OR_RETURN(norm.beta, Read(names::Bias(stem), {config_.hidden_size}));
    norm.eps = config_.layer_norm_eps;
    return norm;
  }

  absl::StatusOr<Dense> ReadDense(const std::string& stem, std::int64_t out,
                                  std::int64_t in) const {
    Dense dense;
    REPRISE_ASSIGN_OR_RETURN(dense.weight, Read(names::Weight(stem), {out, in}));
    REPRISE_ASSIGN_OR_RETURN(dense.bias, Read(names::Bias(stem), {out}));
    return dense;
  }

  absl::StatusOr<EncoderLayer> PackLayer(int layer) const {
    REPRISE_ASSIGN_OR_RETURN(layers::FeedForwardWeights feed_forward, PackFeedForward(layer));
    if (!config_.plan.has_attention(layer)) return EncoderLayer{{}, std::move(feed_forward)};
    REPRISE_ASSIGN_OR_RETURN(layers::AttentionWeights attention, PackAttention(layer));
    return EncoderLayer{std::move(attention), std::move(feed_forward)};
  }

  absl::StatusOr<layers::AttentionWeights> PackAttention(int layer) const {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t head_dim = config_.head_dim();
    const auto computed = static_cast<std::int64_t>(config_.plan.computed_heads(layer).size());
    Dense input;
    if (computed > 0) {
      REPRISE_ASSIGN_OR_RETURN(input, ReadDense(names::Query(layer), computed * head_dim, hidden));
      REPRISE_ASSIGN_OR_RETURN(const Dense key,
                               ReadDense(names::Key(layer), computed * head_dim, hidden));
      input.Append(key);
    }
    REPRISE_ASSIGN_OR_RETURN(const Dense value, ReadDense(names::Value(layer), hidden, hidden));
    input.Append(value);

    const std::int64_t heads_per_panel = std::max<std::int64_t>(1, kOutputPanel / head_dim);
    REPRISE_ASSIGN_OR_RETURN(Linear input_projection,
                             Linear::Pack(input.weight, input.bias,
                                          {.in_features = hidden,
                                           .out_features = 2 * computed * head_dim + hidden,
                                           .out_panel = heads_per_panel * head_dim,
                                           .precision = precision_,
                                           .output = precision_}));
    REPRISE_ASSIGN_OR_RETURN(
        Linear output_projection,
        PackDense(names::AttentionOutput(layer), {.in_features = hidden,
                                                  .out_features = hidden,
                                                  .out_panel = std::min(kOutputPanel, hidden),
                                                  .precision = precision_,
                                                  .output = DType::kF32}));
    REPRISE_ASSIGN_OR_RETURN(LayerNorm norm, ReadNorm(names::AttentionNorm(layer)));
    std::vector<float> relative_bias;
    if (config_.relative_position_max > 0 && computed > 0) {
      REPRISE_ASSIGN_OR_RETURN(
          relative_bias, Read(names::RelativePositionBias(layer),
                              {computed, 2 * std::int64_t{config_.relative_position_max} - 1}));
    }
    return layers::AttentionWeights{std::move(input_projection), std::move(output_projection),
                                    std::move(norm), std::move(relative_bias)};
  }

  absl::StatusOr<layers::FeedForwardWeights> PackFeedForward(int layer) const {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t intermediate = config_.intermediate_size;
    const std::int64_t panel = IntermediatePanel(intermediate);
    REPRISE_ASSIGN_OR_RETURN(Linear up, PackDense(names::Intermediate(layer),
                                                  {.in_features = hidden,
                                                   .out_features = intermediate,
                                                   .out_panel = panel,
                                                   .precision = precision_,
                                                   .output = precision_,
                                                   .epilogue = ToEpilogue(config_.activation)}));
    REPRISE_ASSIGN_OR_RETURN(
        Linear down, PackDense(names::Output(layer), {.in_features = intermediate,
                                                      .out_features = hidden,
                                                      .in_panel = panel,
                                                      .out_panel = std::min(kOutputPanel, hidden),
                                                      .precision = precision_,
                                                      .output = DType::kF32}));
    REPRISE_ASSIGN_OR_RETURN(LayerNorm norm, ReadNorm(names::OutputNorm(layer)));
    return layers::FeedForwardWeights{std::move(up), std::move(down), std::move(norm)};
  }

  // Reads the tensors of a dense layer as the options shape it, and packs them.
  absl::StatusOr<Linear> PackDense(const std::string& stem,
                                   const ops::LinearOptions& options) const {
    REPRISE_ASSIGN_OR_RETURN(const Dense dense,
                             ReadDense(stem, options.out_features, options.in_features));
    return Linear::Pack(dense.weight, dense.bias, options);
  }

  static std::int64_t PackedBytes(const BertWeights& packed) {
    const auto bytes = [](const std::vector<float>& values) {
      return static_cast<std::int64_t>(values.size() * sizeof(float));
    };
    const auto norm_bytes = [&](const LayerNorm& norm) {
      return bytes(norm.gamma) + bytes(norm.beta);
    };
    std::int64_t total = bytes(packed.token_embeddings) + bytes(packed.position_embeddings) +
                         bytes(packed.type_embeddings) + norm_bytes(packed.embedding_norm);
    for (const EncoderLayer& layer : packed.layers) {
      if (layer.attention) {
        total += layer.attention->input_projection.packed_bytes() +
                 layer.attention->output_projection.packed_bytes() +
                 norm_bytes(layer.attention->norm) + bytes(layer.attention->relative_bias);
      }
      total += layer.feed_forward.up.packed_bytes() + layer.feed_forward.down.packed_bytes() +
               norm_bytes(layer.feed_forward.norm);
    }
    if (packed.final_norm) total += norm_bytes(*packed.final_norm);
    if (packed.pooler) total += packed.pooler->packed_bytes();
    if (packed.classifier) total += packed.classifier->packed_bytes();
    return total;
  }

  const BertConfig& config_;
  const weights::WeightSource& source_;
  DType precision_;
};

}  // namespace

absl::StatusOr<BertWeights> PackBertWeights(const BertConfig& config, const BertParts& parts,
                                            const weights::WeightSource& source, DType precision) {
  return Packer(config, source, precision).Pack(parts);
}

}  // namespace reprise::engine::architectures
