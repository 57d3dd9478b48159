// One call that loads or unloads a model: answered when that is done, by whichever thread did it.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/service_context.h"
#include "server/request/open_calls.h"

namespace reprise::server::grpc {

// The reply of a control call has no fields. The end of the work, the caller's cancellation and the
// server's own end race for one flag; the winner counts and finishes the call. Work that its caller
// no longer waits for goes on. Deleted when gRPC and the work have both let go. Thread-safe.
class ControlCall final : public ::grpc::ServerUnaryReactor,
                          public OpenCall,
                          public std::enable_shared_from_this<ControlCall> {
 public:
  // Return it to gRPC after handing the work out. `method` is static.
  static std::shared_ptr<ControlCall> Start(ServiceContext& service, std::string_view method,
                                            ::grpc::CallbackServerContext* context,
                                            ::grpc::ByteBuffer* response);

  void End(const absl::Status& status) override;

 private:
  ControlCall(ServiceContext& service, std::string_view method,
              ::grpc::CallbackServerContext* context, ::grpc::ByteBuffer* response);

  void OnCancel() override;
  void OnDone() override;

  ServiceContext& service_;
  const std::string_view method_;
  ::grpc::CallbackServerContext* const context_;
  ::grpc::ByteBuffer* const response_;
  const CallStart start_;
  std::atomic<bool> finished_{false};
  std::shared_ptr<ControlCall> self_;  // gRPC's share, dropped in OnDone
};

}  // namespace reprise::server::grpc
