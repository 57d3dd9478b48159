// Checks that a ragged batch keeps its contract and the limits of an executor.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "engine/architectures/bert_config.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::engine {

struct BatchLimits {
  std::int64_t max_tokens = 0;
  std::int64_t max_sequences = 0;
};

// InvalidArgument names the first rule of RaggedBatch that `batch` breaks, the value found and what
// was expected. Allocates only for the message.
absl::Status CheckBatch(const RaggedBatch& batch, const architectures::BertConfig& config,
                        const BatchLimits& limits);

}  // namespace reprise::engine
