// What a worker of the scheduler runs batches on.
#pragma once

#include "absl/status/status.h"
#include "engine/executor.h"

namespace reprise::server::batching {

// Not thread-safe: one worker owns it.
class BatchRunner {
 public:
  virtual ~BatchRunner() = default;
  // `outputs` are valid until the next Run. An error is a fault of the engine: whatever a request
  // may do wrong was refused before.
  virtual absl::Status Run(const engine::RaggedBatch& batch, const engine::OutputSet& wanted,
                           engine::Outputs* outputs) = 0;
  virtual const engine::ExecutionReport& report() const = 0;  // of the last successful Run
};

}  // namespace reprise::server::batching
