// How long the simulated executor takes for a batch.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reprise::server::simulation {

// time = fixed + per_token x tokens + per_square x sum of the squared lengths of its sequences.
struct BatchCost {
  double fixed_us = 0;
  double per_token_us = 0;
  double per_square_ns = 0;

  // Requires: tokens and squares of at least one sequence. At least 1 ns.
  std::chrono::nanoseconds Time(std::int64_t tokens, std::int64_t squares) const;
};

// One measured batch of `batch_size` sequences of `seq_len` tokens.
struct MeasuredBatch {
  std::int64_t batch_size = 1;
  std::int64_t seq_len = 1;
  double milliseconds = 0;  // > 0
};

// The cost with the least squares of relative errors, none of its parts negative. The error is the
// largest of them, for example 0.05 for 5 %. Requires: at least one batch.
struct CostFit {
  BatchCost cost;
  double largest_error = 0;
};
CostFit FitCost(const std::vector<MeasuredBatch>& batches);

// The rows of a report that `reprise bench --json` wrote, of one plan and precision; empty:
// whatever the report has, if that is one. InvalidArgument lists what there is when nothing or
// several fit.
absl::StatusOr<std::vector<MeasuredBatch>> ReadBenchReport(std::string_view json,
                                                           std::string_view plan,
                                                           std::string_view precision);

}  // namespace reprise::server::simulation
