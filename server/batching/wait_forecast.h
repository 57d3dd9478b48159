// Predicts when a request would run and be done, from what is ahead of it.
#pragma once

#include <cstdint>
#include <vector>

#include "server/batching/batch_policy.h"
#include "server/batching/batch_times.h"
#include "server/batching/waiting_line.h"

namespace reprise::server::batching {

struct ForecastInput {
  const WaitingLine& line;
  QueuedItem item;  // were it to join the line now
  TokensAhead ahead;
  double tokens_per_second = 0;  // that come meanwhile
  const BatchLimits& limits;
  const BatchTimes& times;  // not empty
  // When each executor is done with what it runs; times before now mean now. At least one.
  std::vector<SteadyClock::time_point> free_at;
};

struct Forecast {
  SteadyClock::time_point start;   // of its batch
  SteadyClock::time_point finish;  // of its batch
};

// What is ahead runs in full batches, each on the executor that is free first; while it does, other
// clients send more that goes before the item. The item goes with the rest, and with what comes
// until then as far as it fits: without these followers requests would be admitted to the last
// moment, and then batches can hardly grow without making a member late, when a crowd needs large
// ones.
Forecast PredictRun(ForecastInput input, SteadyClock::time_point now);

}  // namespace reprise::server::batching
