// Runs a trace through the server's own batching policy with a clock of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "server/batching/batch_planner.h"
#include "server/request/observer.h"
#include "server/simulation/arrival_trace.h"
#include "server/simulation/batch_cost.h"

namespace reprise::server::simulation {

struct SimulationOptions {
  batching::PlannerRules rules;
  QueueDepth bounds;  // of bytes: a request has 8 for each token, as int64 ids do
  int executors = 1;
  BatchCost cost;
  std::int64_t score_bytes_per_square = 0;
  std::chrono::nanoseconds queue_timeout{0};  // 0: none
  // Each batch takes up to this share longer or shorter than `cost` says, each time alike for the
  // same trace. 0 to 0.9.
  double jitter = 0;
};

enum class Fate : std::uint8_t {
  kInTime,   // answered by its deadline, or without one
  kLate,     // answered after it
  kExpired,  // left the queue at its deadline
  kRefused   // at once
};

struct RequestOutcome {
  Fate fate = Fate::kInTime;
  RefusalReason refusal = RefusalReason::kNone;
  std::chrono::nanoseconds wait{0};     // until its batch started, or it left
  std::chrono::nanoseconds latency{0};  // until its answer; zero unless answered
};

struct BatchShape {
  std::int64_t requests = 0;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::chrono::nanoseconds time{0};
  BatchCloseReason closed = BatchCloseReason::kIdle;
};

struct SimulationResult {
  std::vector<RequestOutcome> requests{};  // in the order of the trace
  std::vector<BatchShape> batches{};       // in the order they started
  std::chrono::nanoseconds duration{0};    // from the start of the trace to the last answer
};

// Starts with the batch times that a warm-up measures. A request beyond the limits of a batch is
// refused as the server does (kInvalid). `progress` is told how many requests of the trace have
// arrived, now and then. Depends on its arguments alone.
SimulationResult Simulate(const ArrivalTrace& trace, const SimulationOptions& options,
                          const std::function<void(std::size_t arrived)>& progress = nullptr);

}  // namespace reprise::server::simulation
