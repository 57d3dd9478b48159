// `reprise bench --ops`: each kernel beside what the machine can do.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/op_timing.h"
#include "engine/device/cpu/machine_limits.h"
#include "nlohmann/json_fwd.hpp"
#include "server/commands/bench_models.h"
#include "server/commands/bench_timing.h"

namespace reprise::server::commands {

// The kernels of one model on one batch size and length.
struct OpRows {
  std::string plan;
  engine::Precision precision = engine::Precision::kF32;
  std::int64_t batch_size = 0;
  std::int64_t seq_len = 0;
  std::vector<engine::analysis::OpTime> ops;
};

struct OpReport {
  engine::device::MachineLimits limits;
  std::vector<OpRows> rows;
};

// Every model with every batch size and length of `options`. `progress` is called after each
// kernel.
absl::StatusOr<OpReport> TimeModelOps(const std::vector<BenchModel>& models,
                                      const BenchTimingOptions& options,
                                      const std::function<void(int done, int total)>& progress);

nlohmann::ordered_json ToJson(const OpReport& report);
// Limits, then one table for each of the rows.
std::string DrawOpReport(const OpReport& report);

}  // namespace reprise::server::commands
