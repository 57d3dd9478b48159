// What is kept of one call.
#pragma once

#include <chrono>

#include "grpcpp/grpcpp.h"

namespace reprise::loadtest {

// Times are since the start of the run.
struct CallRecord {
  std::chrono::nanoseconds due{0};
  std::chrono::nanoseconds sent{0};
  std::chrono::nanoseconds done{0};
  ::grpc::StatusCode code = ::grpc::StatusCode::OK;
  bool refused_by_server = false;  // an error with the server's own details, not the client's clock

  // From when it was due, so that a generator that is late, or held up by a server that does not
  // read, adds what it is late: otherwise a stall would be seen by the few calls under way alone
  // (coordinated omission).
  std::chrono::nanoseconds latency() const { return done - due; }
  std::chrono::nanoseconds lateness() const { return sent - due; }
};

}  // namespace reprise::loadtest
