#include "server/batching/arrival_rate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace reprise::server::batching {
namespace {

constexpr double kMemorySeconds = 1;

}  // namespace

void ArrivalRate::Record(std::int64_t tokens, SteadyClock::time_point now) {
  tokens_per_second_ = TokensPerSecond(now) + static_cast<double>(tokens) / kMemorySeconds;
  last_ = std::max(last_, now);
}

double ArrivalRate::TokensPerSecond(SteadyClock::time_point now) const {
  const double seconds = std::chrono::duration<double>(std::max(now, last_) - last_).count();
  return tokens_per_second_ * std::exp(-seconds / kMemorySeconds);
}

}  // namespace reprise::server::batching
