// The least that gRPC does: a callback server that answers any unary call with the bytes it got.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpcpp/grpcpp.h"

namespace reprise::loadtest {

class EchoServer {
 public:
  // On a free port of 127.0.0.1. FailedPrecondition if there is none.
  static absl::StatusOr<std::unique_ptr<EchoServer>> Start();
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  int port() const { return port_; }

 private:
  EchoServer() = default;

  class Service;
  std::unique_ptr<Service> service_;
  std::unique_ptr<::grpc::Server> server_;
  int port_ = 0;
};

}  // namespace reprise::loadtest
