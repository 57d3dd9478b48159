#include "engine/analysis/convert.h"

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/element_codec.h"
#include "engine/weights/json_file.h"
#include "engine/weights/plain_file.h"
#include "engine/weights/row_blocks.h"
#include "engine/weights/safetensors_writer.h"
#include "engine/weights/staged_directory.h"

namespace reprise::engine::analysis {
namespace {

namespace fs = std::filesystem;
using architectures::BertConfig;
using architectures::BertParts;
using weights::Checkpoint;
using weights::RowBlocks;

// What surrounds a model's weights; a folder stands for the config.json in it.
constexpr const char* kCompanionFiles[] = {"tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "added_tokens.json",
                                           "vocab.txt",
                                           "modules.json",
                                           "sentence_bert_config.json",
                                           "config_sentence_transformers.json",
                                           "LICENSE",
                                           "LICENSE.txt",
                                           "NOTICE"};

// An ordinary checkpoint with everything about it that is needed here.
struct Original {
  BertConfig config;
  BertParts parts;
  std::unique_ptr<const Checkpoint> checkpoint;
};

absl::Status CheckFits(const Original& original, const ConversionOptions& options) {
  const BertConfig& config = original.config;
  if (!config.plan.is_exact()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", options.input_directory, "' is a reuse model already (",
                     config.plan.name(), "); expected an ordinary checkpoint"));
  }
  if (options.plan.num_layers() != config.num_layers ||
      options.plan.num_heads() != config.num_heads) {
    return absl::InvalidArgumentError(
        absl::StrCat("the reuse plan is for ", options.plan.num_layers(), " layers of ",
                     options.plan.num_heads(), " heads, but '", options.input_directory, "' has ",
                     config.num_layers, " layers of ", config.num_heads, " heads"));
  }
  const std::size_t heads = static_cast<std::size_t>(config.num_layers) * config.num_heads;
  REPRISE_CHECK(options.value_scales.empty() || options.value_scales.size() == heads);
  return absl::OkStatus();
}

absl::StatusOr<Original> OpenOriginal(const ConversionOptions& options) {
  Original original;
  REPRISE_ASSIGN_OR_RETURN(original.config, architectures::ReadBertConfig(options.input_directory));
  REPRISE_RETURN_IF_ERROR(CheckFits(original, options));
  REPRISE_ASSIGN_OR_RETURN(original.checkpoint, Checkpoint::Open(options.input_directory));
  REPRISE_ASSIGN_OR_RETURN(original.parts,
                           architectures::FindParts(original.config, *original.checkpoint));
  REPRISE_RETURN_IF_ERROR(
      architectures::CheckParameters(original.config, original.parts, *original.checkpoint));
  for (const weights::TensorSpec& tensor : BertParameters(original.config, original.parts)) {
    REPRISE_RETURN_IF_ERROR(original.checkpoint->ReadableType(tensor.name).status());
  }
  return original;
}

std::int64_t CountParameters(BertConfig config, const BertParts& parts,
                             const reuse::ReusePlan& plan) {
  config.plan = plan;
  return architectures::ParameterCount(BertParameters(config, parts));
}

// The rows of a tensor that stay, as they lie in the file: one piece, or one per kept block.
struct KeptTensor {
  weights::TensorDeclaration declaration;
  std::vector<std::span<const std::byte>> pieces;
  std::vector<std::byte> changed;  // not empty: in place of the pieces
};

KeptTensor KeepWhole(const Checkpoint::Entry& entry) {
  return {{entry.stored_name, entry.tensor->dtype, entry.tensor->shape, entry.bytes().size()},
          {entry.bytes()},
          {}};
}

// With the rows of each head multiplied by its scale. Requires: [heads * head_dim, hidden_size].
KeptTensor ScaleHeads(const Checkpoint::Entry& entry, std::span<const double> scales) {
  KeptTensor kept = KeepWhole(entry);
  const DType dtype = *weights::ParseDType(entry.tensor->dtype);  // OpenOriginal has read it
  std::vector<float> values(weights::ElementCount(entry.tensor->shape));
  weights::DecodeElements(dtype, entry.bytes(), values);
  const std::size_t per_head = values.size() / scales.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(values[i] * scales[i / per_head]);
  }
  kept.changed.resize(entry.bytes().size());
  weights::EncodeElements(dtype, values, kept.changed);
  return kept;
}

// With other values.
KeptTensor Replace(const Checkpoint::Entry& entry, std::span<const float> values) {
  KeptTensor kept = KeepWhole(entry);
  REPRISE_CHECK(values.size() == weights::ElementCount(entry.tensor->shape));
  kept.changed.resize(entry.bytes().size());
  weights::EncodeElements(*weights::ParseDType(entry.tensor->dtype), values, kept.changed);
  return kept;
}

// Requires: a tensor whose rows and bytes divide into the blocks, of which at least one is kept.
KeptTensor KeepBlocks(const Checkpoint::Entry& entry, const RowBlocks& blocks) {
  const std::size_t block_bytes = entry.bytes().size() / blocks.num_blocks;
  KeptTensor kept;
  for (const int block : blocks.kept) {
    kept.pieces.push_back(entry.bytes().subspan(block * block_bytes, block_bytes));
  }
  kept.declaration = {entry.stored_name, entry.tensor->dtype, entry.tensor->shape,
                      block_bytes * blocks.kept.size()};
  std::int64_t& rows = kept.declaration.shape[0];
  rows = rows / blocks.num_blocks * static_cast<std::int64_t>(blocks.kept.size());
  return kept;
}

std::vector<KeptTensor> SelectTensors(const Original& original, const ConversionOptions& options) {
  BertConfig config = original.config;
  config.plan = options.plan;
  std::map<std::string, std::span<const double>> scaled;
  for (int layer = 0; layer < config.num_layers && !options.value_scales.empty(); ++layer) {
    if (!options.plan.has_attention(layer)) continue;
    namespace names = architectures::tensor_names;
    scaled[names::Weight(names::Value(layer))] =
        std::span(options.value_scales).subspan(layer * config.num_heads, config.num_heads);
  }
  const weights::RowBlockMap blocks = architectures::PlannedRowBlocks(config);
  std::vector<KeptTensor> kept;
  for (const auto& [name, entry] : original.checkpoint->entries()) {
    const auto it = blocks.find(name);
    const auto replaced = options.replaced.find(name);
    if (replaced != options.replaced.end()) {
      kept.push_back(Replace(entry, replaced->second));
    } else if (const auto scales = scaled.find(name); scales != scaled.end()) {
      kept.push_back(ScaleHeads(entry, scales->second));
    } else if (it == blocks.end()) {
      kept.push_back(KeepWhole(entry));
    } else if (!it->second.kept.empty()) {
      kept.push_back(KeepBlocks(entry, it->second));
    }
  }
  return kept;
}

// Writes the tensors and returns the bytes of their elements.
absl::StatusOr<std::uint64_t> WriteWeights(const std::vector<KeptTensor>& tensors,
                                           const ConversionOptions& options,
                                           const fs::path& directory) {
  std::vector<weights::TensorDeclaration> declarations;
  for (const KeptTensor& tensor : tensors) declarations.push_back(tensor.declaration);
  REPRISE_ASSIGN_OR_RETURN(
      const std::unique_ptr<weights::SafetensorsWriter> writer,
      weights::SafetensorsWriter::Create(directory / "model.safetensors", std::move(declarations)));
  int done = 0;
  std::vector<std::byte> joined;
  for (const KeptTensor& tensor : tensors) {
    joined = tensor.changed;
    for (const std::span<const std::byte> piece : tensor.pieces) {
      if (!tensor.changed.empty()) break;
      joined.insert(joined.end(), piece.begin(), piece.end());
    }
    REPRISE_RETURN_IF_ERROR(writer->WriteBytes(tensor.declaration.name, joined));
    if (options.progress) options.progress(++done, static_cast<int>(tensors.size()));
  }
  REPRISE_RETURN_IF_ERROR(writer->Finish());
  return writer->data_bytes();
}

absl::Status WriteConfig(const ConversionOptions& options, const fs::path& directory) {
  REPRISE_ASSIGN_OR_RETURN(nlohmann::json config,
                           weights::ReadJsonFile(options.input_directory + "/config.json"));
  const nlohmann::json attention_reuse = options.plan.ToJson();
  if (!attention_reuse.is_null()) config["attention_reuse"] = attention_reuse;
  return weights::WriteJsonFile(directory / "config.json", config);
}

absl::Status CopyIfThere(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (!fs::exists(from, error)) return absl::OkStatus();
  fs::create_directories(to.parent_path(), error);
  if (!error) fs::copy_file(from, to, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(
      error.value(), absl::StrCat("cannot copy '", from.string(), "' to '", to.string(), "'"));
}

absl::Status CopyCompanions(const fs::path& input, const fs::path& output) {
  for (const char* name : kCompanionFiles) {
    REPRISE_RETURN_IF_ERROR(CopyIfThere(input / name, output / name));
  }
  if (!weights::FileExists(input / "modules.json")) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(const nlohmann::json modules,
                           weights::ReadJsonFile(input / "modules.json"));
  for (const nlohmann::json& module :
       modules) {  // ReadBertConfig has checked that they are objects
    const nlohmann::json path = module.value("path", nlohmann::json());
    const std::string folder = path.is_string() ? path.get<std::string>() : "";
    if (!weights::IsPlainFileName(folder)) continue;  // "": this directory
    REPRISE_RETURN_IF_ERROR(
        CopyIfThere(input / folder / "config.json", output / folder / "config.json"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConversionReport> ConvertStructurally(const ConversionOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const Original original, OpenOriginal(options));
  REPRISE_ASSIGN_OR_RETURN(weights::StagedDirectory staged,
                           weights::StagedDirectory::Create(options.output_directory));
  ConversionReport report;
  REPRISE_ASSIGN_OR_RETURN(report.weight_bytes_after,
                           WriteWeights(SelectTensors(original, options), options, staged.path()));
  REPRISE_RETURN_IF_ERROR(WriteConfig(options, staged.path()));
  REPRISE_RETURN_IF_ERROR(CopyCompanions(options.input_directory, staged.path()));
  if (options.before_commit) {
    REPRISE_RETURN_IF_ERROR(options.before_commit(staged.path().string()));
  }
  REPRISE_RETURN_IF_ERROR(staged.Commit());
  report.heads = options.plan.num_layers() * options.plan.num_heads();
  report.reused_heads = options.plan.num_reused_heads();
  for (int layer = 0; layer < options.plan.num_layers(); ++layer) {
    if (!options.plan.has_attention(layer)) ++report.layers_without_attention;
  }
  report.parameters_before = CountParameters(original.config, original.parts, original.config.plan);
  report.parameters_after = CountParameters(original.config, original.parts, options.plan);
  report.weight_bytes_before = original.checkpoint->data_bytes();
  return report;
}

}  // namespace reprise::engine::analysis
