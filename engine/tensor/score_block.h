// Stored attention scores of one head and one sequence, as one room writes them and others read
// them.
#pragma once

#include <cstdint>

namespace reprise::engine {

// Kept as exp(score - row maximum): the softmax probability of (query, key) is
//   probs[query * row_stride + key] * inverse_row_sums[query].
// Leaving the division to the reader saves a pass over the matrix. Does not own its memory.
struct ScoreBlock {
  void* probs = nullptr;  // [seq_len, row_stride] of the cache's format; columns from seq_len up to
                          // the next even one are 0
  float* inverse_row_sums = nullptr;  // [seq_len]
  std::int64_t row_stride = 0;        // elements, >= seq_len rounded up to 2
};

}  // namespace reprise::engine
