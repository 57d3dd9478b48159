#include "engine/weights/checkpoint.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/check.h"
#include "engine/weights/element_codec.h"
#include "engine/weights/json_file.h"
#include "engine/weights/plain_file.h"
#include "engine/weights/tensor_spec.h"

namespace reprise::engine::weights {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

std::string CanonicalName(const std::string& stored) {
  std::string name(absl::StripPrefix(stored, "bert."));
  for (const auto& [old_end, new_end] : {std::pair{"LayerNorm.gamma", "LayerNorm.weight"},
                                         std::pair{"LayerNorm.beta", "LayerNorm.bias"}}) {
    if (absl::EndsWith(name, old_end)) {
      name = absl::StrCat(absl::StripSuffix(name, old_end), new_end);
    }
  }
  return name;
}

absl::Status NoWeights(const std::string& directory) {
  std::string message = absl::StrCat("'", directory, "' has neither ", kSingleFile, " nor ",
                                     kIndexFile, ", which hold a model's weights");
  if (FileExists(directory + "/pytorch_model.bin")) {
    absl::StrAppend(&message,
                    "; it has pytorch_model.bin: load it with transformers and write it again with "
                    "save_pretrained(..., safe_serialization=True)");
  }
  return absl::NotFoundError(message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Checkpoint>> Checkpoint::Open(const std::string& directory) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint(directory));  // private constructor
  const std::string single = absl::StrCat(directory, "/", kSingleFile);
  const std::string index = absl::StrCat(directory, "/", kIndexFile);
  if (FileExists(single)) {
    REPRISE_RETURN_IF_ERROR(checkpoint->OpenSingle(single));
  } else if (FileExists(index)) {
    REPRISE_RETURN_IF_ERROR(checkpoint->OpenSharded(index));
  } else {
    return NoWeights(directory);
  }
  return checkpoint;
}

absl::Status Checkpoint::OpenSingle(const std::string& path) {
  REPRISE_ASSIGN_OR_RETURN(SafetensorsFile opened, SafetensorsFile::Open(path));
  const SafetensorsFile& file =
      *(files_[kSingleFile] = std::make_unique<const SafetensorsFile>(std::move(opened)));
  for (const auto& [name, tensor] : file.tensors()) {
    REPRISE_RETURN_IF_ERROR(Add(file, name));
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::OpenSharded(const std::string& index_path) {
  REPRISE_ASSIGN_OR_RETURN(const nlohmann::json index, ReadJsonFile(index_path));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", index_path, "' has no object weight_map from tensor to file name"));
  }
  for (const auto& [name, value] : index["weight_map"].items()) {
    if (!value.is_string() || !IsPlainFileName(value.get<std::string>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", index_path, "' puts tensor ", JsonText(name), " into ", JsonText(value),
                       "; expected the name of a file in the same directory"));
    }
    std::unique_ptr<const SafetensorsFile>& file = files_[value.get<std::string>()];
    if (file == nullptr) {
      REPRISE_ASSIGN_OR_RETURN(
          SafetensorsFile opened,
          SafetensorsFile::Open(absl::StrCat(directory_, "/", value.get<std::string>())));
      file = std::make_unique<const SafetensorsFile>(std::move(opened));
    }
    if (!file->tensors().contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat("'", index_path, "' puts tensor ",
                                                     JsonText(name), " into '", file->path(),
                                                     "', which does not have it"));
    }
    REPRISE_RETURN_IF_ERROR(Add(*file, name));
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::Add(const SafetensorsFile& file, const std::string& stored_name) {
  const Entry entry{stored_name, &file, &file.tensors().at(stored_name)};
  const auto [it, is_new] = entries_.emplace(CanonicalName(stored_name), entry);
  if (is_new) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", file.path(), "' has both ", JsonText(it->second.stored_name), " and ",
                   JsonText(stored_name), ", two spellings of one tensor; keep one of them"));
}

absl::StatusOr<const Checkpoint::Entry*> Checkpoint::Find(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) {
    return MissingTensor(absl::StrCat("the ", entries_.size(), " tensors of '", directory_, "'"),
                         name);
  }
  return &it->second;
}

absl::StatusOr<std::vector<std::int64_t>> Checkpoint::Shape(const std::string& name) const {
  REPRISE_ASSIGN_OR_RETURN(const Entry* entry, Find(name));
  return entry->tensor->shape;
}

absl::StatusOr<DType> Checkpoint::ReadableType(const std::string& name) const {
  REPRISE_ASSIGN_OR_RETURN(const Entry* entry, Find(name));
  const std::optional<DType> dtype = ParseDType(entry->tensor->dtype);
  if (dtype.has_value()) return *dtype;
  return absl::InvalidArgumentError(
      absl::StrCat("tensor '", name, "' of '", entry->file->path(), "' has elements of type ",
                   JsonText(entry->tensor->dtype),
                   "; expected F32, F16 or BF16: save the model in one of them"));
}

absl::StatusOr<std::vector<float>> Checkpoint::Read(const std::string& name,
                                                    std::span<const std::int64_t> shape) const {
  REPRISE_ASSIGN_OR_RETURN(const Entry* entry, Find(name));
  REPRISE_RETURN_IF_ERROR(
      CheckShape(absl::StrCat("'", entry->file->path(), "'"), name, entry->tensor->shape, shape));
  REPRISE_ASSIGN_OR_RETURN(const DType dtype, ReadableType(name));
  std::vector<float> values(static_cast<std::size_t>(ElementCount(shape)));
  DecodeElements(dtype, entry->bytes(), values);
  // A model has its own copy from here on; without this the whole file stays beside it until
  // loaded.
  entry->file->Release(*entry->tensor);
  return values;
}

std::uint64_t Checkpoint::data_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, entry] : entries_) bytes += entry.bytes().size();
  return bytes;
}

}  // namespace reprise::engine::weights
