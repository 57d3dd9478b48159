// An outcome of a load run, made up.
#pragma once

#include "loadtest/generator/load_run.h"

namespace reprise::loadtest {

// Two seconds: two calls OK after 10 and 30 ms, one refused after 2 ms, one past its deadline of
// 50 ms. All were sent on time.
inline LoadOutcome MadeOutcome() {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  const auto call = [](int due_ms, int latency_ms, ::grpc::StatusCode code, bool refused) {
    const milliseconds due(due_ms);
    return CallRecord{due, due, due + milliseconds(latency_ms), code, refused};
  };
  return {.calls = {call(1100, 10, ::grpc::StatusCode::OK, false),
                    call(1200, 2, ::grpc::StatusCode::RESOURCE_EXHAUSTED, true),
                    call(2300, 30, ::grpc::StatusCode::OK, false),
                    call(2400, 50, ::grpc::StatusCode::DEADLINE_EXCEEDED, false)},
          .counted_from = seconds(1),
          .counted_until = seconds(3)};
}

}  // namespace reprise::loadtest
