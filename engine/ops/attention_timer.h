// Runs the attention kernels on random heads, so that they can be timed.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/memory/buffer.h"
#include "engine/ops/attention.h"
#include "engine/reuse/projection_cache.h"
#include "engine/reuse/score_cache.h"

namespace reprise::engine::ops {

struct AttentionTimerOptions {
  AttentionOptions attention;  // max_seq_len: of the sequences to run
  int heads = 1;               // of each sequence
  std::int64_t sequences = 1;
};

// Owns queries, keys and values of heads * sequences heads, side by side as an input projection
// leaves them.
class AttentionTimer {
 public:
  enum class Work { kCompute, kComputeStored, kComputeKept, kRead, kRecompute };

  // ResourceExhausted when the memory cannot be had.
  static absl::StatusOr<AttentionTimer> Create(device::ThreadTeam& team,
                                               const AttentionTimerOptions& options);

  // Every head once. kRead and kRecompute need kComputeStored and kComputeKept before them.
  void Run(device::ThreadTeam& team, Work work) const;
  // Milliseconds of Run.
  double Time(device::ThreadTeam& team, Work work) const;

  const AttentionTimerOptions& options() const { return options_; }
  std::int64_t total_heads() const { return options_.heads * options_.sequences; }

 private:
  explicit AttentionTimer(const AttentionTimerOptions& options);
  absl::Status Allocate(int workers);
  void RunHead(std::int64_t sequence, int head, int worker, Work work) const;
  HeadView Columns(std::int64_t row, int head) const;
  std::int64_t element_size() const {
    return static_cast<std::int64_t>(SizeOf(options_.attention.precision));
  }

  AttentionTimerOptions options_;
  Attention kernels_;
  std::int64_t width_;        // of all heads of a sequence
  memory::Buffer projected_;  // [rows, queries | keys | values]
  memory::Buffer context_;    // [rows, width]
  memory::Buffer scratch_;
  reuse::ScoreCache scores_;
  reuse::ProjectionCache projections_;
};

}  // namespace reprise::engine::ops
