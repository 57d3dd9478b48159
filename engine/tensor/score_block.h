// What is kept of one head's attention scores over one sequence, as one room writes it and others
// read it.
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
  // [seq_len]; the largest product of each query with a key, before scaling and bias. With them and
  // the sums, probs can be rebuilt from queries and keys score by score. Null: not kept.
  float* row_maxima = nullptr;
  std::int64_t row_stride = 0;  // elements, >= seq_len rounded up to 2
};

}  // namespace reprise::engine
