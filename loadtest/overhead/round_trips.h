// Round trips of one caller, one call at a time.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"

namespace reprise::loadtest {

// Sends the same bytes to one method again and again. Both servers of a comparison are called
// through this class, so that the caller costs both the same.
class RoundTrips {
 public:
  RoundTrips(int port, std::string method, ::grpc::ByteBuffer request);

  // Appends the times of `calls` calls. The first error ends it.
  absl::Status Run(int calls, std::vector<std::chrono::nanoseconds>* times);

 private:
  const std::string method_;
  const ::grpc::ByteBuffer request_;
  ::grpc::GenericStub stub_;
};

}  // namespace reprise::loadtest
