// Times the kernels of a model one by one: dense layers, attention heads, norms.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine::analysis {

struct OpTimingOptions {
  std::int64_t batch_size = 1;
  std::int64_t seq_len = 128;
  int repetitions = 15;
  std::uint64_t seed = 1;
};

// What is timed; borrowed.
struct OpTimingModel {
  const architectures::BertConfig* config = nullptr;
  const architectures::BertWeights* weights = nullptr;
  DType precision = DType::kF32;  // the weights are packed for
};

// One kernel on one shape. Times are of the whole team.
struct OpTime {
  std::string op;           // "input projection", "attention, stored", ...
  std::string shape;        // "128 x 768 -> 2304", "12 heads, n = 128, width 64"
  double milliseconds = 0;  // median of one call
  double flops = 0;         // of one call; a multiply-add counts as two
  double memory_bytes = 0;  // of weights or scores that one call reads or writes at least
};

// Operands are random numbers; dense layers of equal shape take turns over the model's layers, so
// that weights come from where they come from when a model runs. `progress` is called after each
// kernel. ResourceExhausted when memory cannot be had.
absl::StatusOr<std::vector<OpTime>> TimeOps(
    device::ThreadTeam& team, const OpTimingModel& model, const OpTimingOptions& options,
    const std::function<void(int done, int total)>& progress);

}  // namespace reprise::engine::analysis
