#include "engine/architectures/bert_parameters.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_limits.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"

namespace reprise::engine::architectures {
namespace {

using weights::TensorSpec;

class ParameterList {
 public:
  void Table(const std::string& name, std::int64_t rows, std::int64_t columns) {
    tensors_.push_back({name, {rows, columns}});
  }
  void Dense(const std::string& stem, std::int64_t out, std::int64_t in) {
    Table(tensor_names::Weight(stem), out, in);
    tensors_.push_back({tensor_names::Bias(stem), {out}});
  }
  void Norm(const std::string& stem, std::int64_t size) {
    tensors_.push_back({tensor_names::Weight(stem), {size}});
    tensors_.push_back({tensor_names::Bias(stem), {size}});
  }
  std::vector<TensorSpec> Take() { return std::move(tensors_); }

 private:
  std::vector<TensorSpec> tensors_;
};

void AddAttention(const BertConfig& config, int layer, ParameterList& list) {
  const auto computed = static_cast<std::int64_t>(config.plan.computed_heads(layer).size());
  if (computed > 0) {
    list.Dense(tensor_names::Query(layer), computed * config.head_dim(), config.hidden_size);
    list.Dense(tensor_names::Key(layer), computed * config.head_dim(), config.hidden_size);
    if (config.relative_position_max > 0) {
      list.Table(tensor_names::RelativePositionBias(layer), computed,
                 2 * std::int64_t{config.relative_position_max} - 1);
    }
  }
  list.Dense(tensor_names::Value(layer), config.hidden_size, config.hidden_size);
  list.Dense(tensor_names::AttentionOutput(layer), config.hidden_size, config.hidden_size);
  list.Norm(tensor_names::AttentionNorm(layer), config.hidden_size);
}

void AddLayer(const BertConfig& config, int layer, ParameterList& list) {
  if (config.plan.has_attention(layer)) AddAttention(config, layer, list);
  list.Dense(tensor_names::Intermediate(layer), config.intermediate_size, config.hidden_size);
  list.Dense(tensor_names::Output(layer), config.hidden_size, config.intermediate_size);
  list.Norm(tensor_names::OutputNorm(layer), config.hidden_size);
}

// The tensors of a layer whose rows belong to heads and are there for computed heads only.
std::vector<std::string> ScoreTensors(const BertConfig& config, int layer) {
  std::vector<std::string> names;
  for (const std::string& stem : {tensor_names::Query(layer), tensor_names::Key(layer)}) {
    names.push_back(tensor_names::Weight(stem));
    names.push_back(tensor_names::Bias(stem));
  }
  if (config.relative_position_max > 0) {
    names.push_back(tensor_names::RelativePositionBias(layer));
  }
  return names;
}

// The tensors of a layer's attention that every layer with attention has.
std::vector<std::string> WholeAttentionTensors(int layer) {
  std::vector<std::string> names;
  for (const std::string& stem : {tensor_names::Value(layer), tensor_names::AttentionOutput(layer),
                                  tensor_names::AttentionNorm(layer)}) {
    names.push_back(tensor_names::Weight(stem));
    names.push_back(tensor_names::Bias(stem));
  }
  return names;
}

// One sentence on what the plan says about a layer, for messages about its tensors.
std::string ReuseOf(const BertConfig& config, int layer) {
  if (!config.plan.has_attention(layer)) {
    return absl::StrCat("layer ", layer, " has no attention under attention_reuse (",
                        config.plan.name(), ")");
  }
  return absl::StrCat("layer ", layer, " computes ", config.plan.computed_heads(layer).size(),
                      " of its ", config.num_heads, " heads under attention_reuse (",
                      config.plan.name(), ")");
}

// `status` of a query or key tensor, with what the table says.
absl::Status ExplainByReuse(const absl::Status& status, const BertConfig& config, int layer) {
  return absl::Status(
      status.code(),
      absl::StrCat(std::string(status.message()), ". ", ReuseOf(config, layer), ", with ",
                   config.head_dim(),
                   " rows per computed head: config.json and weights contradict each other"));
}

absl::Status CheckTensor(const TensorSpec& tensor, const weights::WeightSource& source) {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::int64_t> found, source.Shape(tensor.name));
  return weights::CheckShape("the weights", tensor.name, found, tensor.shape);
}

absl::Status CheckScoreTensors(const BertConfig& config, int layer,
                               const weights::WeightSource& source) {
  const bool expected =
      config.plan.has_attention(layer) && !config.plan.computed_heads(layer).empty();
  if (expected) return absl::OkStatus();  // their shapes are checked with all others
  for (const std::string& name : ScoreTensors(config, layer)) {
    if (!source.Contains(name)) continue;
    return ExplainByReuse(absl::InvalidArgumentError(absl::StrCat(
                              "tensor '", name, "' is among the weights; expected none")),
                          config, layer);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<TensorSpec> BertParameters(const BertConfig& config, const BertParts& parts) {
  ParameterList list;
  list.Table(tensor_names::kWordEmbeddings, config.vocab_size, config.hidden_size);
  list.Table(tensor_names::kPositionEmbeddings, config.max_position_embeddings, config.hidden_size);
  list.Table(tensor_names::kTokenTypeEmbeddings, config.type_vocab_size, config.hidden_size);
  list.Norm(tensor_names::kEmbeddingNorm, config.hidden_size);
  for (int layer = 0; layer < config.num_layers; ++layer) AddLayer(config, layer, list);
  if (config.final_layer_norm) list.Norm(tensor_names::kFinalNorm, config.hidden_size);
  if (parts.pooler) list.Dense(tensor_names::kPooler, config.hidden_size, config.hidden_size);
  if (parts.num_labels > 0) {
    list.Dense(tensor_names::kClassifier, parts.num_labels, config.hidden_size);
  }
  return list.Take();
}

std::int64_t ParameterCount(const std::vector<TensorSpec>& parameters) {
  std::int64_t count = 0;
  for (const TensorSpec& tensor : parameters) count += weights::ElementCount(tensor.shape);
  return count;
}

absl::StatusOr<BertParts> FindParts(const BertConfig& config, const weights::WeightSource& source) {
  const std::string classifier = tensor_names::Weight(tensor_names::kClassifier);
  BertParts parts;
  parts.pooler = source.Contains(tensor_names::Weight(tensor_names::kPooler));
  if (!source.Contains(classifier)) return parts;
  if (!parts.pooler) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the weights have '", classifier, "' but no '", tensor_names::Weight(tensor_names::kPooler),
        "'; expected a sequence classification head, which works on the pooler's "
        "output (heads that label every token are not supported)"));
  }
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::int64_t> shape, source.Shape(classifier));
  const auto labels = static_cast<std::int64_t>(config.labels.size());
  if (shape.size() != 2 || shape[0] < 1 || shape[0] > kMaxLabels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor '", classifier, "' has shape ", weights::ShapeText(shape), "; expected [labels, ",
        config.hidden_size, "] with 1 to ", kMaxLabels, " labels"));
  }
  if (labels != 0 && labels != shape[0]) {
    return absl::InvalidArgumentError(
        absl::StrCat("id2label of config.json has ", labels, " labels, but tensor '", classifier,
                     "' has shape ", weights::ShapeText(shape), "; expected one row per label"));
  }
  parts.num_labels = static_cast<int>(shape[0]);
  return parts;
}

absl::Status CheckParameters(const BertConfig& config, const BertParts& parts,
                             const weights::WeightSource& source) {
  for (int layer = 0; layer < config.num_layers; ++layer) {
    REPRISE_RETURN_IF_ERROR(CheckScoreTensors(config, layer, source));
    if (!config.plan.has_attention(layer)) continue;
    const std::vector<std::string> by_head = ScoreTensors(config, layer);
    ParameterList list;
    AddAttention(config, layer, list);
    for (const TensorSpec& tensor : list.Take()) {
      const absl::Status status = CheckTensor(tensor, source);
      if (status.ok()) continue;
      return std::ranges::count(by_head, tensor.name) > 0 ? ExplainByReuse(status, config, layer)
                                                          : status;
    }
  }
  for (const TensorSpec& tensor : BertParameters(config, parts)) {
    REPRISE_RETURN_IF_ERROR(CheckTensor(tensor, source));
  }
  return absl::OkStatus();
}

weights::RowBlockMap PlannedRowBlocks(const BertConfig& config) {
  weights::RowBlockMap blocks;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const std::vector<int>& computed = config.plan.computed_heads(layer);
    const bool has_attention = config.plan.has_attention(layer);
    if (has_attention && computed.size() == static_cast<std::size_t>(config.num_heads)) continue;
    for (const std::string& name : ScoreTensors(config, layer)) {
      blocks[name] = {config.num_heads, has_attention ? computed : std::vector<int>{}};
    }
    if (has_attention) continue;
    for (const std::string& name : WholeAttentionTensors(layer)) blocks[name] = {1, {}};
  }
  return blocks;
}

}  // namespace reprise::engine::architectures
