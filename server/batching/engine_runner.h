// Runs batches on an executor of the engine.
#pragma once

#include <memory>
#include <utility>

#include "server/batching/batch_runner.h"

namespace reprise::server::batching {

class EngineRunner final : public BatchRunner {
 public:
  explicit EngineRunner(std::unique_ptr<engine::Executor> executor)
      : executor_(std::move(executor)) {}

  absl::Status Run(const engine::RaggedBatch& batch, const engine::OutputSet& wanted,
                   engine::Outputs* outputs) override {
    return executor_->Run(batch, wanted, outputs);
  }
  const engine::ExecutionReport& report() const override { return executor_->report(); }

 private:
  std::unique_ptr<engine::Executor> executor_;
};

}  // namespace reprise::server::batching
