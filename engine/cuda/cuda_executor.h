// Runs batches on a GPU.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/backend.h"
#include "engine/cuda/device.h"
#include "engine/cuda/weights.h"

namespace reprise::engine::cuda {

// All arguments but the options must outlive the executor. ResourceExhausted when memory of the
// device, or pinned memory of the host, cannot be had.
absl::StatusOr<std::unique_ptr<ExecutorBackend>> CreateExecutor(
    const Device& device, const architectures::BertConfig& config, const Weights& weights,
    const ExecutorOptions& options);

}  // namespace reprise::engine::cuda
