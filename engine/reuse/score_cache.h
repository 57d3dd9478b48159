// Keeps the attention scores that later layers will read, for the sequences of one micro-batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/memory/buffer.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/score_block.h"

namespace reprise::engine::reuse {

struct ScoreCacheOptions {
  int num_slots = 0;                // ReusePlan::num_score_slots()
  DType format = DType::kF32;       // kF32 or kBF16
  std::int64_t capacity_bytes = 0;  // never exceeded
  std::int64_t max_sequences = 0;   // of one layout
};

// A slot holds one n x n score matrix for each sequence laid out; the plan says which head owns
// which slot when. Sequences lie one after another, so a sequence's slots are close together in
// memory. Not thread-safe; blocks of different (slot, sequence) may be used concurrently.
class ScoreCache {
 public:
  // ResourceExhausted when the memory cannot be had.
  static absl::StatusOr<ScoreCache> Create(const ScoreCacheOptions& options);

  // Bytes that one sequence of `seq_len` tokens takes with all its slots.
  static std::int64_t SequenceBytes(std::int64_t seq_len, int num_slots, DType format);

  // Makes room for sequences of these lengths, in place of the last layout. ResourceExhausted,
  // naming both sizes, when they do not fit: the cache refuses rather than grows. A length of 0
  // takes no room (a sequence that stores nothing).
  absl::Status LayOut(std::span<const std::int64_t> seq_lens);

  // Valid until the next LayOut. `sequence` is an index into the lengths laid out.
  ScoreBlock block(int slot, std::int64_t sequence) const;

  std::int64_t capacity_bytes() const { return options_.capacity_bytes; }
  std::int64_t live_bytes() const { return live_bytes_; }  // of the present layout
  std::int64_t peak_bytes() const { return peak_bytes_; }  // largest layout so far

 private:
  struct Placement {
    std::int64_t offset = 0;  // bytes, of slot 0
    std::int64_t seq_len = 0;
  };

  ScoreCacheOptions options_;
  memory::Buffer buffer_;
  std::vector<Placement> placements_;  // capacity fixed at creation
  std::int64_t live_bytes_ = 0;
  std::int64_t peak_bytes_ = 0;
};

}  // namespace reprise::engine::reuse
