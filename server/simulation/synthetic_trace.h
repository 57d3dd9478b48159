// Makes arrival traces of callers that do not wait for each other: an open loop.
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

enum class ArrivalPattern : std::uint8_t {
  kPoisson,   // independent of each other: exponential gaps
  kConstant,  // evenly spaced
  kBurst,     // Poisson for `burst_on`, nothing for `burst_off`, and so on
};

// "poisson", "constant" or "burst". InvalidArgument lists them.
absl::StatusOr<ArrivalPattern> ParseArrivalPattern(std::string_view name);

struct SyntheticTraceOptions {
  ArrivalPattern pattern = ArrivalPattern::kPoisson;
  double rate = 0;                                    // requests per second, in the mean; > 0
  double seconds = 0;                                 // > 0; rate x seconds at most 10^7
  std::chrono::nanoseconds burst_on{1'000'000'000};   // > 0
  std::chrono::nanoseconds burst_off{1'000'000'000};  // >= 0
  std::vector<LengthRange> lengths;                   // not empty
  int clients = 1;  // each request is of one of them, equally likely
  std::chrono::nanoseconds timeout{0};
  std::uint64_t seed = 1;
};

// The same trace for the same options, on every machine. InvalidArgument names the option that is
// out of range.
absl::StatusOr<ArrivalTrace> MakeSyntheticTrace(const SyntheticTraceOptions& options);

}  // namespace reprise::server::simulation
