// Joins the rows of several requests into one ragged batch, in memory reserved once.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tensor/ragged_batch.h"
#include "server/pipeline/packed_rows.h"

namespace reprise::server::batching {

// One per worker. Not thread-safe.
class BatchBuffers {
 public:
  BatchBuffers(std::int64_t max_rows, std::int64_t max_tokens);

  void Clear();
  // Requires: no more rows and tokens in all than the constructor was told.
  void Append(const pipeline::PackedRows& rows);
  engine::RaggedBatch View() const;  // valid until the next Clear or Append

 private:
  std::vector<std::int32_t> cu_seqlens_;
  std::vector<std::int32_t> input_ids_;
  std::vector<std::int32_t> token_type_ids_;
  std::vector<std::int32_t> position_ids_;
};

}  // namespace reprise::server::batching
