// Sequences of different lengths packed one after another, without padding.
#pragma once

#include <cstdint>
#include <span>

namespace reprise::engine {

// Token t of sequence b is element cu_seqlens[b] + t of each array. All views must stay valid
// during the call that takes the batch.
//   cu_seqlens      [batch_size + 1]  prefix sums of the lengths; first 0, last = total tokens,
//   each length >= 1 input_ids       [total_tokens]    in [0, vocab_size) token_type_ids
//   [total_tokens]    in [0, type_vocab_size), or empty: all 0 position_ids    [total_tokens]    in
//   [0, max_position_embeddings), strictly increasing within a sequence, or
//                                     empty: 0, 1, 2, ... A gap is a masked column of the padded
//                                     original.
struct RaggedBatch {
  std::span<const std::int32_t> cu_seqlens;
  std::span<const std::int32_t> input_ids;
  std::span<const std::int32_t> token_type_ids;
  std::span<const std::int32_t> position_ids;

  std::int64_t batch_size() const { return static_cast<std::int64_t>(cu_seqlens.size()) - 1; }
  std::int64_t total_tokens() const { return cu_seqlens.empty() ? 0 : cu_seqlens.back(); }
  std::int32_t seq_len(std::int64_t sequence) const {
    return cu_seqlens[sequence + 1] - cu_seqlens[sequence];
  }
};

}  // namespace reprise::engine
