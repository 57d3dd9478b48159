// Makes arrival traces of callers that do not wait for each other.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/simulation/arrival_trace.h"

namespace reprise::server::simulation {

// Lengths from `low` to `high` tokens, each as likely as any other, for a share of the requests
// that is `weight` over the sum of all weights.
struct LengthRange {
  std::int64_t low = 1;
  std::int64_t high = 1;
  double weight = 1;
};

// "16-64x9,512": nine requests of ten have 16 to 64 tokens, one has 512. InvalidArgument says which
// part is wrong.
absl::StatusOr<std::vector<LengthRange>> ParseLengths(std::string_view text);

struct PoissonOptions {
  double rate = 0;                   // requests per second; > 0
  double seconds = 0;                // > 0; rate x seconds at most 10^7
  std::vector<LengthRange> lengths;  // not empty
  int clients = 1;                   // each request is of one of them, equally likely
  std::chrono::nanoseconds timeout{0};
  std::uint64_t seed = 1;
};

// The same trace for the same options, on every machine. InvalidArgument names the option that is
// out of range.
absl::StatusOr<ArrivalTrace> MakePoissonTrace(const PoissonOptions& options);

}  // namespace reprise::server::simulation
