// The sequences of one request without their padding, and what is needed to put it back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise::server::pipeline {

// Real tokens only, row after row. Every row has at least one.
//   cu_seqlens                                [rows + 1]  prefix sums of the rows' lengths
//   input_ids, token_type_ids, position_ids   [tokens]    a position is the token's column in the
//                                                         padded original
struct PackedRows {
  std::vector<std::int32_t> cu_seqlens = {0};
  std::vector<std::int32_t> input_ids;
  std::vector<std::int32_t> token_type_ids;
  std::vector<std::int32_t> position_ids;
  std::int64_t padded_len = 0;  // columns of the reply's last_hidden_state

  std::int64_t rows() const { return static_cast<std::int64_t>(cu_seqlens.size()) - 1; }
  std::int64_t tokens() const { return cu_seqlens.back(); }
  std::int64_t row_len(std::int64_t row) const { return cu_seqlens[row + 1] - cu_seqlens[row]; }
};

}  // namespace reprise::server::pipeline
