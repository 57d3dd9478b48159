// The weights of a checkpoint directory in Hugging Face's layout, one file or several.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/tensor/dtype.h"
#include "engine/weights/safetensors_file.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::weights {

// Immutable, thread-safe; keeps its files mapped. Names are canonical: the prefix "bert." of models
// with a head on top is taken off, and LayerNorm.gamma and .beta, as old checkpoints call them,
// become LayerNorm.weight and .bias.
class Checkpoint final : public WeightSource {
 public:
  // Opens `directory`/model.safetensors, else the files that model.safetensors.index.json names,
  // which must lie in `directory` itself. NotFound or InvalidArgument name the file, what was found
  // and what to do. Element types are looked at only when a tensor is read.
  static absl::StatusOr<std::unique_ptr<const Checkpoint>> Open(const std::string& directory);

  bool Contains(const std::string& name) const override { return entries_.contains(name); }
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const override;
  // Besides WeightSource's errors, InvalidArgument for a tensor that is not F32, F16 or BF16.
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t> shape) const override;

  // The element type of a tensor that Read can read; otherwise Read's errors.
  absl::StatusOr<DType> ReadableType(const std::string& name) const;

  // A tensor as it lies in its file.
  struct Entry {
    std::string stored_name;
    const SafetensorsFile* file;
    const StoredTensor* tensor;
    std::span<const std::byte> bytes() const { return file->bytes(*tensor); }
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }  // by canonical name
  std::uint64_t data_bytes() const;                                         // of all tensors

 private:
  explicit Checkpoint(std::string directory) : directory_(std::move(directory)) {}
  absl::Status OpenSingle(const std::string& path);
  absl::Status OpenSharded(const std::string& index_path);
  absl::Status Add(const SafetensorsFile& file, const std::string& stored_name);
  absl::StatusOr<const Entry*> Find(const std::string& name) const;

  std::string directory_;
  std::map<std::string, std::unique_ptr<const SafetensorsFile>> files_;  // by file name
  std::map<std::string, Entry> entries_;
};

}  // namespace reprise::engine::weights
