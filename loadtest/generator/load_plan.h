// Everything a run will send, made before it starts: nothing is computed while calls are due.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "loadtest/generator/load_options.h"

namespace reprise::loadtest {

struct PlannedCall {
  std::chrono::nanoseconds due{0};      // after the run's start. Of no meaning in a closed loop
  std::uint32_t request = 0;            // index into LoadPlan::requests
  std::chrono::nanoseconds timeout{0};  // after it was due; 0: none
  std::string client{};                 // empty: none
};

struct LoadPlan {
  std::vector<inference::ModelInferRequest> requests;  // each different from the others
  std::vector<PlannedCall> calls;                      // by `due`; not empty
};

// Depends on its argument alone, on every machine. A closed loop gets calls to go around in.
// InvalidArgument says what is wrong with options or trace, or that no call is due in the time
// that counts.
absl::StatusOr<LoadPlan> MakeLoadPlan(const LoadOptions& options);

}  // namespace reprise::loadtest
