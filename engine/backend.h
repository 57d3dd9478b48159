// What a kind of device brings: a model's weights in its memory, and something that runs batches on
// them. Model and Executor are the same whatever is behind them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/execution_report.h"
#include "engine/executor_options.h"
#include "engine/precision.h"
#include "engine/tensor/ragged_batch.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine {

// Runs batches that Executor has checked. Not thread-safe.
class ExecutorBackend {
 public:
  virtual ~ExecutorBackend() = default;
  // Requires: the batch keeps its contract and the options' limits, and the model has the wanted
  // outputs. Fills the outputs, valid until the next Run, and everything of the report but the
  // counts of multiply-adds; layer_scores has one entry for each layer. ResourceExhausted when
  // scores do not fit and must be stored.
  virtual absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs,
                           ExecutionReport* report) = 0;
};

// Weights in the memory of a device. Immutable, thread-safe.
class ModelBackend {
 public:
  virtual ~ModelBackend() = default;
  virtual std::int64_t parameter_bytes() const = 0;  // as held in memory
  virtual std::string DescribeDevice() const = 0;    // for people, in one line
  // This backend must outlive the executor.
  virtual absl::StatusOr<std::unique_ptr<ExecutorBackend>> NewExecutor(
      const ExecutorOptions& options) const = 0;
};

// Requires: names and shapes in `source` were checked, `precision` is resolved. `config` and
// `parts` must outlive the backend. Errors of the source, Unimplemented when the device cannot do
// what is asked for, ResourceExhausted without memory.
struct BackendRequest {
  const architectures::BertConfig& config;
  const architectures::BertParts& parts;
  const weights::WeightSource& source;
  Precision precision = Precision::kF32;
  DeviceId device;
};
absl::StatusOr<std::unique_ptr<const ModelBackend>> LoadOnCpu(const BackendRequest& request);
// FailedPrecondition when there is no such device or driver; Unimplemented in a build without CUDA.
absl::StatusOr<std::unique_ptr<const ModelBackend>> LoadOnCuda(const BackendRequest& request);

// Whether models can be loaded on the device; the errors of LoadOnCuda that are not the model's.
absl::Status CheckDevice(DeviceId device);

}  // namespace reprise::engine
