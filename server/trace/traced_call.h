// A call that has ended, with all that its spans will say.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "server/request/inference_request.h"
#include "server/request/trace_context.h"

namespace reprise::server::trace {

// What only an inference has.
struct TracedInference {
  std::string id{};
  std::string model{};
  std::string version{};  // empty when none was found
  RefusalReason refusal = RefusalReason::kNone;
  std::chrono::nanoseconds decode{0};
  std::chrono::nanoseconds encode{0};
  RequestSteps steps{};
  std::int64_t rows = 0;  // of answered ones, as the next
  std::int64_t tokens = 0;
  std::int64_t batch_rows = 0;
  std::int64_t batch_tokens = 0;
};

// Owns all it says. Times are of the steady clock; `wall_offset` makes them times of the calendar.
struct TracedCall {
  TraceContext trace{};
  std::string protocol{};
  std::string method{};
  absl::StatusCode code = absl::StatusCode::kOk;
  SteadyClock::time_point start{};
  SteadyClock::time_point end{};
  std::chrono::nanoseconds wall_offset{0};  // system clock minus steady clock
  bool is_inference = false;
  TracedInference inference{};
};

}  // namespace reprise::server::trace
