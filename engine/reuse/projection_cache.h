// Keeps queries and keys of heads whose scores later layers rebuild instead of reading them
// (strategies `recompute` and `fused`).
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/memory/buffer.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/score_block.h"

namespace reprise::engine::reuse {

struct ProjectionCacheOptions {
  int num_slots = 0;          // ReusePlan::num_score_slots(): the lifetimes are those of the scores
  std::int64_t max_rows = 0;  // tokens of one micro-batch
  std::int64_t head_dim = 0;
  DType precision = DType::kF32;
};

// For each slot the queries and keys of one head, [max_rows, head_dim] each, and the statistics of
// its score rows; rows numbered as in the micro-batch. Grows with n where scores grow with n^2. Not
// thread-safe; different rows may be written concurrently.
class ProjectionCache {
 public:
  static absl::StatusOr<ProjectionCache> Create(const ProjectionCacheOptions& options);

  std::byte* query(int slot, std::int64_t row) const { return At(2 * slot, row); }
  std::byte* key(int slot, std::int64_t row) const { return At(2 * slot + 1, row); }
  // Row maxima and inverse sums from `row` on; no probabilities.
  ScoreBlock row_statistics(int slot, std::int64_t row) const {
    float* maxima = statistics_.as<float>() + 2 * slot * max_rows_;
    return {.inverse_row_sums = maxima + max_rows_ + row, .row_maxima = maxima + row};
  }
  std::int64_t head_dim() const { return head_dim_; }
  std::int64_t row_bytes() const { return row_bytes_; }  // of one query or key
  std::int64_t bytes() const { return buffer_.bytes() + statistics_.bytes(); }

 private:
  std::byte* At(int matrix, std::int64_t row) const {
    return buffer_.data() + (matrix * max_rows_ + row) * row_bytes_;
  }

  memory::Buffer buffer_;      // queries, keys of slot 0, queries, keys of slot 1, ...
  memory::Buffer statistics_;  // maxima, inverse sums of slot 0, ...
  std::int64_t max_rows_ = 0;
  std::int64_t head_dim_ = 0;
  std::int64_t row_bytes_ = 0;
};

}  // namespace reprise::engine::reuse
