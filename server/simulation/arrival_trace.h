// Requests as they came: when, how long, whose, and by when they are needed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace reprise::server::simulation {

struct Arrival {
  std::chrono::nanoseconds at{0};          // since the trace began
  std::vector<std::int64_t> row_tokens{};  // one entry, >= 1, for each sequence of the request
  int priority = 0;                        // 0: the default
  std::string client{};
  std::chrono::nanoseconds timeout{0};  // deadline, after the arrival; 0: none
};

// By ascending `at`.
using ArrivalTrace = std::vector<Arrival>;

// One JSON object a line, empty lines ignored:
//   {"at_ms": 12.5, "tokens": 128, "priority": 1, "client": "a", "timeout_ms": 100}
// tokens is a number, or a list with one for each sequence; the last three keys may be missing.
// Sorts by at_ms. InvalidArgument names the line and what is wrong with it, also for an empty
// trace.
absl::StatusOr<ArrivalTrace> ParseTrace(std::string_view text);

// What ParseTrace reads.
std::string TraceText(const ArrivalTrace& trace);

}  // namespace reprise::server::simulation
