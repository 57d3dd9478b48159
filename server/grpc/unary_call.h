// Calls whose reply is known at once: everything unary that is not an inference.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/service_context.h"

namespace reprise::server::grpc {

// Parses `bytes` into `request` unless they are too large or malformed.
absl::Status ReceiveMessage(const ServiceContext& service, const ::grpc::ByteBuffer& bytes,
                            google::protobuf::Message* request);

// Serializes `reply` when `status` is OK, counts the call under `method` and finishes it.
::grpc::ServerUnaryReactor* FinishUnary(ServiceContext& service, std::string_view method,
                                        const CallStart& start, absl::Status status,
                                        const google::protobuf::Message& reply,
                                        ::grpc::CallbackServerContext* context,
                                        ::grpc::ByteBuffer* response);

// `answer` is absl::Status(const Request&, Reply*), runs on gRPC's thread and must not block.
template <typename Request, typename Reply, typename Answer>
::grpc::ServerUnaryReactor* AnswerAtOnce(ServiceContext& service, std::string_view method,
                                         ::grpc::CallbackServerContext* context,
                                         const ::grpc::ByteBuffer* bytes,
                                         ::grpc::ByteBuffer* response, Answer answer) {
  const CallStart start = StartOf(*context);
  Request request;
  Reply reply;
  absl::Status status = service.Admit(method, *context).status();
  if (status.ok()) status = ReceiveMessage(service, *bytes, &request);
  if (status.ok()) status = answer(request, &reply);
  return FinishUnary(service, method, start, std::move(status), reply, context, response);
}

// Unimplemented, for a method of the protocol that this server does not have.
::grpc::ServerUnaryReactor* AnswerNotBuilt(ServiceContext& service, std::string_view method,
                                           ::grpc::CallbackServerContext* context);

}  // namespace reprise::server::grpc
