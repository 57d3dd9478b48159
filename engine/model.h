// A model in the memory of a device, ready to be run by executors: config, reuse plan and weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/device_id.h"
#include "engine/precision.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine {

class ModelBackend;

struct ModelOptions {
  Precision precision = Precision::kAuto;
  DeviceId device = {};
};

// Immutable after loading, thread-safe, shared by any number of executors.
class Model {
 public:
  // Reads a checkpoint directory (config.json, model.safetensors or its sharded form,
  // sentence-transformers files). InvalidArgument or NotFound with the file, what was found and
  // what was expected; errors of the device as in engine/backend.h.
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
  DeviceId device() const { return device_; }
  std::string DescribeDevice() const;                 // for people, in one line
  Precision precision() const { return precision_; }  // never kAuto
  bool has_pooler() const { return parts_.pooler; }
  int num_labels() const { return parts_.num_labels; }  // 0: no classification head
  std::int64_t parameter_count() const { return parameter_count_; }
  std::int64_t parameter_bytes() const;  // as held in the device's memory

  const ModelBackend& backend() const { return *backend_; }  // for executors

 private:
  Model() = default;

  architectures::BertConfig config_;
  architectures::BertParts parts_;
  DeviceId device_;
  Precision precision_ = Precision::kF32;
  std::int64_t parameter_count_ = 0;
  std::unique_ptr<const ModelBackend> backend_;
};

}  // namespace reprise::engine
