// The token ids that a benchmark runs on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::server::commands {

// Owns what engine::RaggedBatch borrows.
struct TokenBatch {
  std::vector<std::int32_t> cu_seqlens = {0};
  std::vector<std::int32_t> input_ids;

  void Add(const std::vector<std::int32_t>& sequence);
  engine::RaggedBatch view() const;
  std::vector<std::int64_t> lengths() const;
  std::int64_t longest() const;
};

// Sequences of these lengths, ids in [0, vocab_size).
TokenBatch RandomBatch(const std::vector<std::int64_t>& lengths, int vocab_size,
                       std::uint64_t seed);

// A JSON list of sequences, each a list of ids. NotFound, or InvalidArgument that says what was
// found and what was expected; whether the ids fit a model is for its executor to say.
absl::StatusOr<TokenBatch> ReadTokenBatch(const std::string& path);

}  // namespace reprise::server::commands
