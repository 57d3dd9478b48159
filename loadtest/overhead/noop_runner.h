// A batch runner that costs nothing: what is left of a request's time is the server's own.
#pragma once

#include <cstdint>
#include <vector>

#include "server/batching/batch_runner.h"

namespace reprise::loadtest {

// Answers every batch with zeros.
class NoopRunner final : public server::batching::BatchRunner {
 public:
  NoopRunner(std::int64_t max_tokens, std::int64_t hidden_size)
      : hidden_size_(hidden_size), zeros_(max_tokens * hidden_size) {}

  absl::Status Run(const engine::RaggedBatch& batch, const engine::OutputSet& wanted,
                   engine::Outputs* outputs) override {
    if (wanted.last_hidden_state) outputs->last_hidden_state = Zeros(batch.total_tokens());
    if (wanted.sentence_embedding) outputs->sentence_embedding = Zeros(batch.batch_size());
    if (wanted.pooler_output) outputs->pooler_output = Zeros(batch.batch_size());
    return absl::OkStatus();
  }
  const engine::ExecutionReport& report() const override { return report_; }

 private:
  engine::MatrixView<const float> Zeros(std::int64_t rows) const {
    return {zeros_.data(), rows, hidden_size_, hidden_size_};
  }

  const std::int64_t hidden_size_;
  const std::vector<float> zeros_;
  const engine::ExecutionReport report_{};
};

}  // namespace reprise::loadtest
