#include "engine/analysis/save_checkpoint.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "engine/weights/safetensors_writer.h"
#include "engine/weights/staged_directory.h"

namespace reprise::engine::analysis {
namespace {

namespace fs = std::filesystem;
using architectures::BertConfig;
using architectures::BertParts;

// Under a classifier Hugging Face calls the encoder "bert".
std::string StoredName(const std::string& name, const BertParts& parts) {
  const bool is_head =
      absl::StartsWith(name, absl::StrCat(architectures::tensor_names::kClassifier, "."));
  return parts.num_labels > 0 && !is_head ? absl::StrCat("bert.", name) : name;
}

absl::Status WriteWeights(const BertConfig& config, const BertParts& parts,
                          const weights::WeightSource& source, const fs::path& path) {
  const std::vector<weights::TensorSpec> tensors = BertParameters(config, parts);
  std::vector<weights::TensorDeclaration> declarations;
  for (const weights::TensorSpec& tensor : tensors) {
    declarations.push_back(
        weights::Declare({StoredName(tensor.name, parts), tensor.shape}, DType::kF32));
  }
  REPRISE_ASSIGN_OR_RETURN(const std::unique_ptr<weights::SafetensorsWriter> writer,
                           weights::SafetensorsWriter::Create(path, std::move(declarations)));
  for (const weights::TensorSpec& tensor : tensors) {
    REPRISE_ASSIGN_OR_RETURN(const std::vector<float> values,
                             source.Read(tensor.name, tensor.shape));
    REPRISE_RETURN_IF_ERROR(writer->Write(StoredName(tensor.name, parts), values));
  }
  return writer->Finish();
}

absl::Status WriteConfig(const BertConfig& config, const BertParts& parts, const fs::path& path) {
  nlohmann::json json = ToJson(config);
  if (parts.num_labels > 0) {
    json["architectures"] = {"BertForSequenceClassification"};
    for (int i = static_cast<int>(config.labels.size()); i < parts.num_labels; ++i) {
      json["id2label"][std::to_string(i)] = absl::StrCat("LABEL_", i);
    }
  }
  return weights::WriteJsonFile(path, json);
}

nlohmann::json Module(int index, const std::string& path, const std::string& type) {
  return {{"idx", index},
          {"name", std::to_string(index)},
          {"path", path},
          {"type", absl::StrCat("sentence_transformers.models.", type)}};
}

// What ReadSentenceConfig reads back.
absl::Status WriteSentenceConfig(const BertConfig& config, const fs::path& directory) {
  constexpr char kPoolingFolder[] = "1_Pooling";
  nlohmann::json modules = {Module(0, "", "Transformer"), Module(1, kPoolingFolder, "Pooling")};
  if (config.normalize) modules.push_back(Module(2, "2_Normalize", "Normalize"));
  const nlohmann::json pooling = {
      {"word_embedding_dimension", config.hidden_size},
      {"pooling_mode_cls_token", config.pooling == architectures::Pooling::kCls},
      {"pooling_mode_mean_tokens", config.pooling == architectures::Pooling::kMean}};
  std::error_code error;
  fs::create_directory(directory / kPoolingFolder, error);
  if (error) return absl::ErrnoToStatus(error.value(), "cannot create the pooling module's folder");
  REPRISE_RETURN_IF_ERROR(weights::WriteJsonFile(directory / "modules.json", modules));
  REPRISE_RETURN_IF_ERROR(
      weights::WriteJsonFile(directory / kPoolingFolder / "config.json", pooling));
  return weights::WriteJsonFile(directory / "sentence_bert_config.json",
                                {{"max_seq_length", config.max_text_tokens}});
}

}  // namespace

absl::Status SaveCheckpoint(const BertConfig& config, const weights::WeightSource& source,
                            const std::string& directory) {
  REPRISE_ASSIGN_OR_RETURN(const BertParts parts, FindParts(config, source));
  REPRISE_RETURN_IF_ERROR(CheckParameters(config, parts, source));
  REPRISE_ASSIGN_OR_RETURN(weights::StagedDirectory staged,
                           weights::StagedDirectory::Create(directory));
  REPRISE_RETURN_IF_ERROR(WriteConfig(config, parts, staged.path() / "config.json"));
  if (config.pooling != architectures::Pooling::kNone) {
    REPRISE_RETURN_IF_ERROR(WriteSentenceConfig(config, staged.path()));
  }
  // Before the long part: a config that nobody could read back makes no checkpoint.
  REPRISE_RETURN_IF_ERROR(architectures::ReadBertConfig(staged.path().string()).status());
  REPRISE_RETURN_IF_ERROR(WriteWeights(config, parts, source, staged.path() / "model.safetensors"));
  return staged.Commit();
}

}  // namespace reprise::engine::analysis
