// A run of whole sequences that goes through a reuse group together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/tensor/ragged_batch.h"

namespace reprise::engine::layers {

struct MicroBatch {
  std::int64_t first_sequence = 0;  // of the ragged batch
  std::int64_t sequences = 0;
  std::int64_t first_row = 0;  // of the packed tokens
  std::int64_t rows = 0;
};

// Bounds of a micro-batch. One sequence is always taken, whatever its size.
struct MicroBatchLimits {
  std::int64_t rows = 0;
  std::int64_t score_bytes = 0;
};

// The longest run of sequences from `first_sequence` that keeps both limits. score_bytes(n) is what
// a sequence of n tokens stores.
template <typename ScoreBytes>
MicroBatch TakeMicroBatch(const RaggedBatch& batch, std::int64_t first_sequence,
                          const MicroBatchLimits& limits, ScoreBytes score_bytes) {
  MicroBatch micro{first_sequence, 0, batch.cu_seqlens[first_sequence], 0};
  std::int64_t bytes = 0;
  for (std::int64_t s = first_sequence; s < batch.batch_size(); ++s) {
    const std::int64_t seq_len = batch.seq_len(s);
    bytes += score_bytes(seq_len);
    if (micro.sequences > 0 && (micro.rows + seq_len > limits.rows || bytes > limits.score_bytes)) {
      break;
    }
    ++micro.sequences;
    micro.rows += seq_len;
  }
  return micro;
}

}  // namespace reprise::engine::layers
