// Runs ragged batches through a model on its device.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/execution_report.h"
#include "engine/executor_options.h"
#include "engine/model.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::engine {

DType ResolveScoreFormat(ScoreFormat format, Precision resolved);

// Owns what running takes beside the weights: threads or a stream, an arena, a score cache. Not
// thread-safe: one Run at a time. Nothing is allocated by Run once the constructor has returned.
// The values of a sequence do not depend on the other sequences of its batch, bit for bit, unless
// batch_invariant is false.
class Executor {
 public:
  // InvalidArgument for options out of range; ResourceExhausted when memory cannot be had.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(std::shared_ptr<const Model> model,
                                                          const ExecutorOptions& options);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // InvalidArgument names the first rule of RaggedBatch that `batch` breaks, or the limit of the
  // options that it passes. Internal when the device failed.
  absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);

  const ExecutionReport& report() const;  // of the last successful Run
  const Model& model() const;
  const ExecutorOptions& options() const;

 private:
  class Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::engine
