// Everything is a sum over layers, and a layer's cost depends on the plan only through the number
// of its computed heads.
#include "engine/reuse/cost_model.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::engine::reuse {
namespace {

std::int64_t HeadDim(const TransformerShape& shape) {
  return shape.head_dim > 0 ? shape.head_dim : shape.hidden_size / shape.num_heads;
}

// The exact model is the plan in which every layer has this many computed heads; with
// layer-by-layer counts no second plan has to be built.
struct LayerHeads {
  bool has_attention = true;
  std::int64_t computed = 0;
};

LayerHeads HeadsOf(const ReusePlan& plan, int layer) {
  return {plan.has_attention(layer), static_cast<std::int64_t>(plan.computed_heads(layer).size())};
}

void RequireSameSize(const TransformerShape& shape, const ReusePlan& plan) {
  REPRISE_CHECK(shape.num_layers == plan.num_layers() && shape.num_heads == plan.num_heads());
}

LayerHeads ExactHeads(const TransformerShape& shape) { return {true, shape.num_heads}; }

// Parameters by how they are stored: matrices, and vectors and small tables.
struct Parameters {
  std::int64_t matrix = 0;
  std::int64_t vector = 0;

  std::int64_t total() const { return matrix + vector; }
  Parameters& operator+=(const Parameters& other) {
    matrix += other.matrix;
    vector += other.vector;
    return *this;
  }
};

std::int64_t NormParameters(const TransformerShape& shape) {
  return (shape.norm == TransformerShape::Norm::kLayerNorm ? 2 : 1) * shape.hidden_size;
}

// One attention sublayer with its norm. `relative` = entries of its position table per head.
Parameters AttentionParameters(const TransformerShape& shape, LayerHeads heads,
                               std::int64_t relative) {
  if (!heads.has_attention) return {};
  const std::int64_t d = shape.hidden_size;
  const std::int64_t a = HeadDim(shape) * shape.num_heads;
  const std::int64_t c = HeadDim(shape) * heads.computed;
  Parameters count{2 * d * c + 2 * d * a, NormParameters(shape) + heads.computed * relative};
  if (shape.attention_bias) count.vector += 2 * c + a + d;
  return count;
}

Parameters FeedForwardParameters(const TransformerShape& shape) {
  const std::int64_t d = shape.hidden_size;
  Parameters count{2 * d * shape.intermediate_size, NormParameters(shape)};
  if (shape.feed_forward_bias) count.vector += shape.intermediate_size + d;
  return count;
}

// The layers at one depth of all stacks.
Parameters LayerParameters(const TransformerShape& shape, LayerHeads heads) {
  const std::int64_t relative =
      shape.relative_position_max > 0 ? 2 * std::int64_t{shape.relative_position_max} - 1 : 0;
  Parameters count = AttentionParameters(shape, heads, relative);
  count += FeedForwardParameters(shape);
  if (shape.has_decoder) {
    count += AttentionParameters(shape, heads, relative);
    count += AttentionParameters(shape, heads, 0);  // cross-attention sees no positions
    count += FeedForwardParameters(shape);
  }
  return count;
}

std::int64_t ParametersOutsideLayers(const TransformerShape& shape) {
  const std::int64_t d = shape.hidden_size;
  const std::int64_t stacks = shape.has_decoder ? 2 : 1;
  std::int64_t count =
      d * (std::int64_t{shape.vocab_size} + shape.max_position_embeddings + shape.type_vocab_size);
  if (shape.embedding_norm) count += NormParameters(shape);
  if (shape.patch_size > 0) count += d * shape.patch_size + d + d;  // weight, bias, class token
  count += stacks * shape.relative_buckets * std::int64_t{shape.num_heads};
  if (shape.final_norm) count += stacks * NormParameters(shape);
  if (shape.pooler) count += d * d + d;
  count += (d + 1) * shape.num_labels;
  return count;
}

MultiplyAdds AttentionMultiplyAdds(const TransformerShape& shape, LayerHeads heads,
                                   std::int64_t queries, std::int64_t keys) {
  if (!heads.has_attention) return {};
  const std::int64_t d = shape.hidden_size;
  const std::int64_t a = HeadDim(shape) * shape.num_heads;
  const std::int64_t c = HeadDim(shape) * heads.computed;
  return {.input_projection = d * c * (queries + keys) + d * a * keys,
          .scores = c * queries * keys,
          .context = a * queries * keys,
          .output_projection = d * a * queries};
}

MultiplyAdds LayerMultiplyAdds(const TransformerShape& shape, LayerHeads heads,
                               const SequenceLengths& lengths) {
  const std::int64_t n = lengths.source;
  MultiplyAdds sum = LayerMultiplyAddsWithoutAttention(shape, n);
  sum += AttentionMultiplyAdds(shape, heads, n, n);
  if (shape.has_decoder) {
    const std::int64_t m = lengths.target;
    sum += LayerMultiplyAddsWithoutAttention(shape, m);
    sum += AttentionMultiplyAdds(shape, heads, m, m);
    sum += AttentionMultiplyAdds(shape, heads, m, n);
  }
  return sum;
}

MultiplyAdds PatchMultiplyAdds(const TransformerShape& shape, const SequenceLengths& lengths) {
  // The class token is no patch.
  const std::int64_t patches = std::max<std::int64_t>(lengths.source - 1, 0);
  return {.patch_embedding = patches * shape.patch_size * shape.hidden_size};
}

// Entries of the score matrices of one head at one depth of all stacks.
std::int64_t ScoreEntriesPerHead(const TransformerShape& shape, const SequenceLengths& lengths) {
  const std::int64_t n = lengths.source;
  const std::int64_t m = shape.has_decoder ? lengths.target : 0;
  return n * n + m * m + m * n;
}

ScoreEntries CountScores(const TransformerShape& shape, const ReusePlan& plan,
                         const SequenceLengths& lengths, bool scores_stored) {
  const std::int64_t per_head = ScoreEntriesPerHead(shape, lengths);
  ScoreEntries scores;
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    const std::int64_t computed = HeadsOf(plan, layer).computed;
    const std::int64_t others = (shape.num_heads - computed) * per_head;
    scores.computed += computed * per_head;
    if (!plan.has_attention(layer)) {
      scores.absent += others;
    } else if (scores_stored) {
      scores.reused += others;
    } else {
      scores.recomputed += others;
    }
  }
  return scores;
}

// The encoder's scores are gone before the decoder runs, whose two kinds of attention live
// together.
std::int64_t StoredScoreBytes(const TransformerShape& shape, const ReusePlan& plan,
                              const SequenceLengths& lengths, int score_bytes) {
  const std::int64_t n = lengths.source;
  const std::int64_t m = shape.has_decoder ? lengths.target : 0;
  return plan.num_score_slots() * std::max(n * n, m * m + m * n) * score_bytes;
}

// Queries and keys of one head at one depth of all stacks, in entries.
std::int64_t QueryKeyEntriesPerHead(const TransformerShape& shape, const SequenceLengths& lengths) {
  const std::int64_t n = lengths.source;
  const std::int64_t m = shape.has_decoder ? lengths.target : 0;
  const std::int64_t cross = shape.has_decoder ? m + n : 0;
  return HeadDim(shape) * (2 * n + 2 * m + cross);
}

MemorySaved PredictMemory(const TransformerShape& shape, const ReusePlan& plan,
                          const SequenceLengths& lengths, const Storage& storage) {
  const Parameters exact = LayerParameters(shape, ExactHeads(shape));
  MemorySaved saved;
  std::int64_t heads_without_queries = 0;
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    const LayerHeads heads = HeadsOf(plan, layer);
    const Parameters kept = LayerParameters(shape, heads);
    saved.parameters += (exact.matrix - kept.matrix) * storage.weight_bytes +
                        (exact.vector - kept.vector) * storage.vector_bytes;
    heads_without_queries += shape.num_heads - heads.computed;
  }
  saved.activations =
      heads_without_queries * QueryKeyEntriesPerHead(shape, lengths) * storage.activation_bytes;
  if (storage.scores_stored) {
    saved.scores = -StoredScoreBytes(shape, plan, lengths, storage.score_bytes);
  }
  return saved;
}

absl::Status CheckSize(const char* name, std::int64_t found, std::int64_t lowest,
                       std::int64_t highest) {
  if (found >= lowest && found <= highest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", found, "; expected ", lowest, " to ", highest, ": correct it"));
}

}  // namespace

MultiplyAdds& MultiplyAdds::operator+=(const MultiplyAdds& other) {
  input_projection += other.input_projection;
  scores += other.scores;
  context += other.context;
  output_projection += other.output_projection;
  feed_forward += other.feed_forward;
  patch_embedding += other.patch_embedding;
  return *this;
}

double PlanSavings::parameters_ratio() const {
  return static_cast<double>(parameters) / static_cast<double>(exact_parameters);
}

double PlanSavings::multiply_adds_ratio() const {
  return static_cast<double>(multiply_adds.total()) /
         static_cast<double>(exact_multiply_adds.total());
}

absl::Status CheckCostInput(const TransformerShape& shape, const ReusePlan& plan,
                            const SequenceLengths& lengths) {
  if (shape.num_layers != plan.num_layers() || shape.num_heads != plan.num_heads() ||
      plan.num_layers() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", shape.num_layers, " layers of ", shape.num_heads,
                     " heads; expected ", plan.num_layers(), " layers of ", plan.num_heads(),
                     " heads as in the reuse plan: use the plan made for this model"));
  }
  struct Limit {
    const char* name;
    std::int64_t found, lowest, highest;
  };
  const Limit limits[] = {
      {"hidden_size", shape.hidden_size, 1, kMaxWidth},
      {"intermediate_size", shape.intermediate_size, 1, kMaxWidth},
      {"head_dim", shape.head_dim, 0, kMaxWidth},
      {"num_heads * head_dim", shape.num_heads * HeadDim(shape), 1, kMaxWidth},
      {"vocab_size", shape.vocab_size, 0, INT32_MAX},
      {"max_position_embeddings", shape.max_position_embeddings, 0, INT32_MAX},
      {"type_vocab_size", shape.type_vocab_size, 0, INT32_MAX},
      {"patch_size", shape.patch_size, 0, kMaxWidth},
      {"relative_buckets", shape.relative_buckets, 0, INT32_MAX},
      {"relative_position_max", shape.relative_position_max, 0, INT32_MAX},
      {"num_labels", shape.num_labels, 0, INT32_MAX},
      {"source length", lengths.source, 0, kMaxSequenceLength},
      {"target length", lengths.target, 0, kMaxSequenceLength},
  };
  for (const Limit& limit : limits) {
    REPRISE_RETURN_IF_ERROR(CheckSize(limit.name, limit.found, limit.lowest, limit.highest));
  }
  return absl::OkStatus();
}

std::int64_t ParameterCount(const TransformerShape& shape, const ReusePlan& plan) {
  RequireSameSize(shape, plan);
  std::int64_t count = ParametersOutsideLayers(shape);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    count += LayerParameters(shape, HeadsOf(plan, layer)).total();
  }
  return count;
}

MultiplyAdds EncoderLayerMultiplyAdds(const TransformerShape& shape, int computed_heads,
                                      std::int64_t n) {
  MultiplyAdds sum = LayerMultiplyAddsWithoutAttention(shape, n);
  sum += AttentionMultiplyAdds(shape, {true, computed_heads}, n, n);
  return sum;
}

MultiplyAdds LayerMultiplyAddsWithoutAttention(const TransformerShape& shape, std::int64_t n) {
  return {.feed_forward = 2 * std::int64_t{shape.hidden_size} * shape.intermediate_size * n};
}

std::int64_t ScoreMultiplyAddsPerHead(const TransformerShape& shape, std::int64_t n) {
  return HeadDim(shape) * n * n;
}

MultiplyAdds ModelMultiplyAdds(const TransformerShape& shape, const ReusePlan& plan,
                               const SequenceLengths& lengths) {
  RequireSameSize(shape, plan);
  MultiplyAdds sum = PatchMultiplyAdds(shape, lengths);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    sum += LayerMultiplyAdds(shape, HeadsOf(plan, layer), lengths);
  }
  return sum;
}

std::int64_t KeyCacheBytesPerToken(const TransformerShape& shape, const ReusePlan& plan,
                                   int activation_bytes) {
  RequireSameSize(shape, plan);
  std::int64_t heads = 0;
  for (int layer = 0; layer < shape.num_layers; ++layer) heads += HeadsOf(plan, layer).computed;
  return heads * HeadDim(shape) * activation_bytes;
}

PlanSavings Predict(const TransformerShape& shape, const ReusePlan& plan,
                    const SequenceLengths& lengths, const Storage& storage) {
  RequireSameSize(shape, plan);
  PlanSavings savings;
  savings.parameters = savings.exact_parameters = ParametersOutsideLayers(shape);
  savings.multiply_adds = savings.exact_multiply_adds = PatchMultiplyAdds(shape, lengths);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    const LayerHeads heads = HeadsOf(plan, layer);
    savings.parameters += LayerParameters(shape, heads).total();
    savings.exact_parameters += LayerParameters(shape, ExactHeads(shape)).total();
    savings.multiply_adds += LayerMultiplyAdds(shape, heads, lengths);
    savings.exact_multiply_adds += LayerMultiplyAdds(shape, ExactHeads(shape), lengths);
  }
  savings.scores = CountScores(shape, plan, lengths, storage.scores_stored);
  // Rebuilding a score costs the product that reading it would have saved.
  savings.multiply_adds.scores += savings.scores.recomputed * HeadDim(shape);
  if (storage.scores_stored) {
    savings.score_bytes = StoredScoreBytes(shape, plan, lengths, storage.score_bytes);
  }
  savings.key_cache_bytes_per_token = KeyCacheBytesPerToken(shape, plan, storage.activation_bytes);
  savings.exact_key_cache_bytes_per_token =
      shape.num_layers * shape.num_heads * HeadDim(shape) * storage.activation_bytes;
  savings.memory_saved = PredictMemory(shape, plan, lengths, storage);
  return savings;
}

}  // namespace reprise::engine::reuse
