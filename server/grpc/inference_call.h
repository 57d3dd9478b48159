// One unary inference call: answered, refused, cancelled or cut off.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/inference_run.h"
#include "server/request/open_calls.h"

namespace reprise::server::grpc {

// Deleted when gRPC and the core have both let go.
class InferenceCall final : public ::grpc::ServerUnaryReactor,
                            public OpenCall,
                            public InferenceRun {
 public:
  // The reactor to return to gRPC. Never blocks beyond decoding.
  static ::grpc::ServerUnaryReactor* Start(ServiceContext& service, const InferenceMethod& method,
                                           ::grpc::CallbackServerContext* context,
                                           const ::grpc::ByteBuffer* bytes,
                                           ::grpc::ByteBuffer* response);

  void End(const absl::Status& status) override { Abandon(status); }

 private:
  InferenceCall(ServiceContext& service, std::string_view method,
                ::grpc::CallbackServerContext* context, ::grpc::ByteBuffer* response);

  std::shared_ptr<InferenceCall> Share();
  absl::Status Begin() override;
  void OnFinished(const absl::Status& status, RefusalReason refusal,
                  ::grpc::ByteBuffer response) override;

  void OnCancel() override;
  void OnDone() override;

  ::grpc::CallbackServerContext* const context_;
  ::grpc::ByteBuffer* const response_;
  std::shared_ptr<InferenceCall> self_;  // gRPC's share, dropped in OnDone
};

}  // namespace reprise::server::grpc
