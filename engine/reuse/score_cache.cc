#include "engine/reuse/score_cache.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::engine::reuse {
namespace {

// Whole cache lines of either format, and an even number of columns as ScoreBlock promises.
std::int64_t RowStride(std::int64_t seq_len) { return memory::AlignUp(seq_len, 32); }

std::int64_t ProbsBytes(std::int64_t seq_len, DType format) {
  return seq_len * RowStride(seq_len) * static_cast<std::int64_t>(SizeOf(format));
}

std::int64_t SlotBytes(std::int64_t seq_len, DType format) {
  const auto row_sums = seq_len * static_cast<std::int64_t>(sizeof(float));
  return ProbsBytes(seq_len, format) + memory::AlignUp(row_sums, memory::kAlignment);
}

}  // namespace

absl::StatusOr<ScoreCache> ScoreCache::Create(const ScoreCacheOptions& options) {
  ScoreCache cache;
  cache.options_ = options;
  cache.placements_.reserve(options.max_sequences);
  REPRISE_ASSIGN_OR_RETURN(
      cache.buffer_, memory::Buffer::Allocate(memory::Purpose::kScores, options.capacity_bytes));
  return cache;
}

std::int64_t ScoreCache::SequenceBytes(std::int64_t seq_len, int num_slots, DType format) {
  return num_slots * SlotBytes(seq_len, format);
}

absl::Status ScoreCache::LayOut(std::span<const std::int64_t> seq_lens) {
  REPRISE_CHECK(static_cast<std::int64_t>(seq_lens.size()) <= options_.max_sequences);
  std::int64_t bytes = 0;
  for (const std::int64_t seq_len : seq_lens) {
    bytes += SequenceBytes(seq_len, options_.num_slots, options_.format);
  }
  if (bytes > options_.capacity_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the scores of this batch take ", bytes, " bytes and the score cache has ",
                     options_.capacity_bytes, "; raise the score cache or lower the batch limits"));
  }
  placements_.clear();
  std::int64_t offset = 0;
  for (const std::int64_t seq_len : seq_lens) {
    placements_.push_back({offset, seq_len});
    offset += SequenceBytes(seq_len, options_.num_slots, options_.format);
  }
  live_bytes_ = bytes;
  peak_bytes_ = std::max(peak_bytes_, bytes);
  return absl::OkStatus();
}

ScoreBlock ScoreCache::block(int slot, std::int64_t sequence) const {
  const Placement& placement = placements_[sequence];
  std::byte* start =
      buffer_.data() + placement.offset + slot * SlotBytes(placement.seq_len, options_.format);
  return {.probs = start,
          .inverse_row_sums =
              reinterpret_cast<float*>(start + ProbsBytes(placement.seq_len, options_.format)),
          .row_stride = RowStride(placement.seq_len)};
}

}  // namespace reprise::engine::reuse
