// The times of single attention heads on this machine, measured once per process and kind of head.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/ops/attention.h"
#include "engine/reuse/strategy_cost.h"

namespace reprise::engine::layers {

// What the times of a head depend on beside its length. Caches and memory are shared by the heads
// and threads that run at once.
struct HeadKind {
  DType precision = DType::kF32;
  DType score_format = DType::kF32;
  std::int64_t head_dim = 0;
  int heads = 0;  // of a layer
  int threads = 0;
  friend auto operator<=>(const HeadKind&, const HeadKind&) = default;
};

struct HeadCalibration {
  HeadKind kind;
  reuse::HeadTimesByLength times;
};

struct CalibrationLimits {
  std::int64_t max_seq_len = 0;
  std::int64_t score_bytes = 0;  // lengths whose scores take more are not measured
};

// Times at a few lengths up to the limits (one at least), from this process's earlier measurement
// or UseCalibration where there is one that reaches as far. Takes 0.1 s for 12 heads up to 1024
// tokens. ResourceExhausted when the memory cannot be had.
absl::StatusOr<std::shared_ptr<const reuse::HeadTimesByLength>> CalibratedHeadTimes(
    device::ThreadTeam& team, const ops::AttentionOptions& attention, int heads,
    const CalibrationLimits& limits);

// From now on these times are taken, whatever the limits, and nothing is measured for their kinds.
void UseCalibration(const std::vector<HeadCalibration>& calibrations);

// Everything measured or set so far, by kind.
std::vector<HeadCalibration> KnownCalibrations();

}  // namespace reprise::engine::layers
