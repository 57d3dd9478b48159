#include "engine/ops/attention_timer.h"

#include <chrono>
#include <random>
#include <vector>

#include "engine/check.h"
#include "engine/ops/kept_projections.h"

namespace reprise::engine::ops {
namespace {

using memory::Buffer;
using memory::Purpose;

// Numbers that are cheap to draw: calibration waits for them at every load.
void FillRandom(Buffer& buffer, DType dtype) {
  std::minstd_rand generator(1);
  const auto count = buffer.bytes() / static_cast<std::int64_t>(SizeOf(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(generator() % 4096) / 1024.0f - 2.0f;
    if (dtype == DType::kBF16) {
      buffer.as<BFloat16>()[i] = BFloat16::FromFloat(value);
    } else {
      buffer.as<float>()[i] = value;
    }
  }
}

}  // namespace

AttentionTimer::AttentionTimer(const AttentionTimerOptions& options)
    : options_(options),
      kernels_(options.attention),
      width_(options.heads * options.attention.head_dim) {}

absl::StatusOr<AttentionTimer> AttentionTimer::Create(device::ThreadTeam& team,
                                                      const AttentionTimerOptions& options) {
  AttentionTimer timer(options);
  REPRISE_RETURN_IF_ERROR(timer.Allocate(team.size()));
  return timer;
}

absl::Status AttentionTimer::Allocate(int workers) {
  const AttentionOptions& attention = options_.attention;
  const std::int64_t seq_len = attention.max_seq_len;
  const std::int64_t rows = options_.sequences * seq_len;
  REPRISE_ASSIGN_OR_RETURN(projected_,
                           Buffer::Allocate(Purpose::kScratch, rows * 3 * width_ * element_size()));
  FillRandom(projected_, attention.precision);
  REPRISE_ASSIGN_OR_RETURN(context_,
                           Buffer::Allocate(Purpose::kScratch, rows * width_ * element_size()));
  REPRISE_ASSIGN_OR_RETURN(scratch_,
                           Buffer::Allocate(Purpose::kScratch, kernels_.scratch_bytes() * workers));
  const std::int64_t sequence_bytes =
      reuse::ScoreCache::SequenceBytes(seq_len, options_.heads, attention.score_format);
  REPRISE_ASSIGN_OR_RETURN(
      scores_, reuse::ScoreCache::Create({.num_slots = options_.heads,
                                          .format = attention.score_format,
                                          .capacity_bytes = options_.sequences * sequence_bytes,
                                          .max_sequences = options_.sequences}));
  REPRISE_ASSIGN_OR_RETURN(projections_,
                           reuse::ProjectionCache::Create({.num_slots = options_.heads,
                                                           .max_rows = rows,
                                                           .head_dim = attention.head_dim,
                                                           .precision = attention.precision}));
  return scores_.LayOut(std::vector<std::int64_t>(options_.sequences, seq_len));
}

void AttentionTimer::Run(device::ThreadTeam& team, Work work) const {
  team.ParallelFor(total_heads(), [&](std::int64_t task, int worker) {
    RunHead(task / options_.heads, static_cast<int>(task % options_.heads), worker, work);
  });
}

double AttentionTimer::Time(device::ThreadTeam& team, Work work) const {
  const auto begin = std::chrono::steady_clock::now();
  Run(team, work);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

HeadView AttentionTimer::Columns(std::int64_t row, int head) const {
  return {
      projected_.data() + (row * 3 * width_ + head * options_.attention.head_dim) * element_size(),
      3 * width_};
}

void AttentionTimer::RunHead(std::int64_t sequence, int head, int worker, Work work) const {
  const AttentionOptions& attention = options_.attention;
  const std::int64_t row = sequence * attention.max_seq_len;
  AttentionTask task;
  task.seq_len = attention.max_seq_len;
  task.rows = attention.max_seq_len;
  task.query = Columns(row, head);
  task.key = Columns(row, options_.heads + head);
  task.value = Columns(row, 2 * options_.heads + head);
  task.context = context_.data() + (row * width_ + head * attention.head_dim) * element_size();
  task.context_stride = width_;
  task.scratch = scratch_.data() + worker * kernels_.scratch_bytes();
  switch (work) {
    case Work::kCompute:
      return kernels_.ComputeHead(task);
    case Work::kComputeStored:
      task.scores = scores_.block(head, sequence);
      return kernels_.ComputeHead(task);
    case Work::kComputeKept:
      KeepProjections(projections_, head, row, &task);
      return kernels_.ComputeHead(task);
    case Work::kRead:
      task.scores = scores_.block(head, sequence);
      return kernels_.ReuseHead(task);
    case Work::kRecompute:
      TakeProjections(projections_, head, row, &task);
      task.scores = projections_.row_statistics(head, row);
      return kernels_.RecomputeHead(task);
  }
}

}  // namespace reprise::engine::ops
