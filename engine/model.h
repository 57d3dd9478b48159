// A model in memory, ready to be run by executors: config, reuse plan and packed weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/tensor/dtype.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine {

namespace architectures {
struct BertWeights;
}

enum class Precision {
  kAuto,
  kF32,
  kBF16
};  // kAuto: bf16 where the CPU multiplies bf16 in hardware, else fp32

// What kAuto means on this machine; fp32 and bf16 stay what they are.
Precision ResolvePrecision(Precision requested);

std::string_view Name(Precision precision);  // "auto", "fp32" or "bf16", as flags spell it
DType ElementType(Precision resolved);       // of matrices and activations; Requires: not kAuto

struct ModelOptions {
  Precision precision = Precision::kAuto;
};

// Immutable after loading, thread-safe, shared by any number of executors.
class Model {
 public:
  // Reads a checkpoint directory (config.json, model.safetensors or its sharded form,
  // sentence-transformers files). InvalidArgument or NotFound with the file, what was found and
  // what was expected.
  static absl::StatusOr<std::shared_ptr<const Model>> Load(const std::string& directory,
                                                           const ModelOptions& options);
  // The same from any source; the config's plan decides which query and key tensors are read.
  static absl::StatusOr<std::shared_ptr<const Model>> Create(
      const architectures::BertConfig& config, const weights::WeightSource& source,
      const ModelOptions& options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const architectures::BertConfig& config() const { return config_; }
  const reuse::ReusePlan& plan() const { return config_.plan; }
  Precision precision() const { return precision_; }  // never kAuto
  bool has_pooler() const { return has_pooler_; }
  int num_labels() const { return num_labels_; }  // 0: no classification head
  std::int64_t parameter_count() const { return parameter_count_; }
  std::int64_t parameter_bytes() const { return parameter_bytes_; }  // as packed in memory

  const architectures::BertWeights& weights() const { return *weights_; }  // for executors

 private:
  Model() = default;

  architectures::BertConfig config_;
  Precision precision_ = Precision::kF32;
  bool has_pooler_ = false;
  int num_labels_ = 0;
  std::int64_t parameter_count_ = 0;
  std::int64_t parameter_bytes_ = 0;
  std::unique_ptr<architectures::BertWeights> weights_;
};

}  // namespace reprise::engine
