// Requests as the policy sees them, for tests of the policy.
#pragma once

#include <chrono>
#include <limits>

#include "server/batching/waiting_line.h"

namespace reprise::server::batching {

inline constexpr SteadyClock::time_point kNow{std::chrono::hours(1)};
inline constexpr SteadyClock::time_point kNever = SteadyClock::time_point::max();

// One row, queued at kNow, no deadline.
inline QueuedItem OneRow(ItemId id, std::int64_t tokens) {
  return {.id = id, .rows = 1, .tokens = tokens, .score_bytes = 1, .queued = kNow};
}

// One priority, first come first served, turns too long to matter.
inline LineRules FifoRules() {
  return {.turn_tokens = std::numeric_limits<std::int32_t>::max(), .max_clients = 100};
}

}  // namespace reprise::server::batching
