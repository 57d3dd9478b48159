// Sends the calls of a plan to a server, in an open or a closed loop, and notes how each one ended.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "loadtest/generator/call_record.h"
#include "loadtest/generator/load_options.h"
#include "loadtest/generator/load_plan.h"

namespace reprise::loadtest {

struct LoadOutcome {
  std::vector<CallRecord> calls;  // of those that count, in the order they ended
  // In which calls that count were due: from the end of the warm-up.
  std::chrono::nanoseconds counted_from{0};
  std::chrono::nanoseconds counted_until{0};
  // Were due when too many others had no answer yet, and never sent.
  std::int64_t not_sent = 0;
};

// Returns when every call has ended. `plan` is MakeLoadPlan's of the same options. Unavailable if
// the server cannot be reached within 10 s. `progress`, called from this thread about ten times a
// second, gets the part that is over, 0 to 1.
absl::StatusOr<LoadOutcome> RunLoad(const LoadOptions& options, const LoadPlan& plan,
                                    const std::function<void(double part)>& progress);

}  // namespace reprise::loadtest
