// A stream that ends with an error before anything is read from it.
#pragma once

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace reprise::server::grpc {

// Deletes itself when gRPC is done with it.
class RefusedStream final
    : public ::grpc::ServerBidiReactor<::grpc::ByteBuffer, ::grpc::ByteBuffer> {
 public:
  explicit RefusedStream(::grpc::Status status) { Finish(std::move(status)); }

 private:
  void OnDone() override { delete this; }
};

}  // namespace reprise::server::grpc
