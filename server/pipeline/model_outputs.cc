#include "server/pipeline/model_outputs.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"

namespace reprise::server::pipeline {
namespace {

using engine::MatrixView;
using engine::Outputs;
using engine::OutputSet;

// One row per output of the protocol: its name, its switch, where the engine leaves it. The order
// is that of the metadata.
struct OutputKind {
  std::string_view name;
  bool OutputSet::*wanted;
  MatrixView<const float> Outputs::*view;
};
constexpr OutputKind kKinds[] = {
    {kLastHiddenState, &OutputSet::last_hidden_state, &Outputs::last_hidden_state},
    {kPoolerOutput, &OutputSet::pooler_output, &Outputs::pooler_output},
    {kSentenceEmbedding, &OutputSet::sentence_embedding, &Outputs::sentence_embedding},
    {kLogits, &OutputSet::logits, &Outputs::logits},
};

const OutputKind* FindKind(std::string_view name) {
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const OutputKind& each) { return each.name == name; });
  return kind == std::end(kKinds) ? nullptr : kind;
}

std::vector<std::string> DefaultNames(bool for_text, const OutputSet& has) {
  if (for_text && has.sentence_embedding) return {std::string(kSentenceEmbedding)};
  if (for_text && has.logits) return {std::string(kLogits)};
  return OutputNames(has);
}

Tensor Fp32(std::string_view name, std::vector<std::int64_t> shape) {
  std::size_t bytes = sizeof(float);
  for (const std::int64_t extent : shape) bytes *= static_cast<std::size_t>(extent);
  Tensor tensor;
  tensor.name = std::string(name);
  tensor.datatype = DataType::kFp32;
  tensor.shape = std::move(shape);
  tensor.raw.assign(bytes, '\0');  // +0.0f everywhere
  return tensor;
}

void CopyRow(const MatrixView<const float>& view, std::int64_t from, std::int64_t to,
             Tensor* tensor) {
  const std::size_t bytes = static_cast<std::size_t>(view.columns) * sizeof(float);
  std::memcpy(tensor->raw.data() + static_cast<std::size_t>(to) * bytes, view.row(from), bytes);
}

// Each real token goes back to the column it came from.
Tensor TakeTokens(const OutputKind& kind, const PackedRows& packed,
                  const MatrixView<const float>& view, std::int64_t first_token) {
  Tensor tensor = Fp32(kind.name, {packed.rows(), packed.padded_len, view.columns});
  for (std::int64_t row = 0; row < packed.rows(); ++row) {
    for (std::int64_t token = packed.cu_seqlens[row]; token < packed.cu_seqlens[row + 1]; ++token) {
      CopyRow(view, first_token + token, row * packed.padded_len + packed.position_ids[token],
              &tensor);
    }
  }
  return tensor;
}

Tensor TakeRows(const OutputKind& kind, const PackedRows& packed,
                const MatrixView<const float>& view, std::int64_t first_row) {
  Tensor tensor = Fp32(kind.name, {packed.rows(), view.columns});
  for (std::int64_t row = 0; row < packed.rows(); ++row) {
    CopyRow(view, first_row + row, row, &tensor);
  }
  return tensor;
}

}  // namespace

std::vector<std::string> OutputNames(const OutputSet& has) {
  std::vector<std::string> names;
  for (const OutputKind& kind : kKinds) {
    if (has.*kind.wanted) names.emplace_back(kind.name);
  }
  return names;
}

absl::StatusOr<WantedOutputs> ChooseOutputs(std::span<const std::string> names, bool for_text,
                                            const OutputRules& rules) {
  WantedOutputs wanted;
  wanted.names = names.empty() ? DefaultNames(for_text, rules.has)
                               : std::vector<std::string>(names.begin(), names.end());
  for (const std::string& name : wanted.names) {
    const OutputKind* kind = FindKind(name);
    if (kind == nullptr || !(rules.has.*kind->wanted)) {
      return absl::InvalidArgumentError(absl::StrCat("model '", rules.model_name,
                                                     "': unknown output '", name, "'; expected ",
                                                     absl::StrJoin(OutputNames(rules.has), ", ")));
    }
    bool& chosen = wanted.set.*kind->wanted;
    if (chosen) {
      return absl::InvalidArgumentError(
          absl::StrCat("model '", rules.model_name, "': output '", name, "' is asked for twice"));
    }
    chosen = true;
  }
  return wanted;
}

absl::StatusOr<std::int64_t> ReplyBytes(const WantedOutputs& wanted, std::int64_t rows,
                                        std::int64_t padded_len, const OutputRules& rules) {
  std::int64_t values_per_row = 0;
  if (wanted.set.last_hidden_state) values_per_row += padded_len * rules.hidden_size;
  if (wanted.set.pooler_output) values_per_row += rules.hidden_size;
  if (wanted.set.sentence_embedding) values_per_row += rules.hidden_size;
  if (wanted.set.logits) values_per_row += rules.num_labels;
  const std::int64_t bytes = rows * values_per_row * static_cast<std::int64_t>(sizeof(float));
  if (bytes <= rules.max_reply_bytes) return bytes;
  return absl::InvalidArgumentError(absl::StrCat(
      "model '", rules.model_name, "': the outputs ", absl::StrJoin(wanted.names, ", "), " of ",
      rows, " rows of ", padded_len, " columns take ", bytes, " bytes; expected at most ",
      rules.max_reply_bytes, " (max_reply_bytes). Send fewer rows, or ask for fewer outputs"));
}

std::vector<Tensor> TakeOutputs(const WantedOutputs& wanted, const PackedRows& packed,
                                const Outputs& outputs, std::int64_t first_row,
                                std::int64_t first_token) {
  std::vector<Tensor> tensors;
  tensors.reserve(wanted.names.size());
  for (const std::string& name : wanted.names) {
    const OutputKind* kind = FindKind(name);
    REPRISE_CHECK(kind != nullptr);
    const MatrixView<const float>& view = outputs.*kind->view;
    tensors.push_back(name == kLastHiddenState ? TakeTokens(*kind, packed, view, first_token)
                                               : TakeRows(*kind, packed, view, first_row));
  }
  return tensors;
}

OutputSet Union(const OutputSet& a, const OutputSet& b) {
  OutputSet both = a;
  for (const OutputKind& kind : kKinds) both.*kind.wanted = a.*kind.wanted || b.*kind.wanted;
  return both;
}

}  // namespace reprise::server::pipeline
