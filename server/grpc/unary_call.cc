#include "server/grpc/unary_call.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/grpc/message_bytes.h"
#include "server/grpc/status.h"

namespace reprise::server::grpc {

absl::Status ReceiveMessage(const ServiceContext& service, const ::grpc::ByteBuffer& bytes,
                            google::protobuf::Message* request) {
  REPRISE_RETURN_IF_ERROR(service.CheckSize(bytes.Length()));
  return ParseMessage(bytes, request);
}

::grpc::ServerUnaryReactor* FinishUnary(ServiceContext& service, std::string_view method,
                                        const CallStart& start, absl::Status status,
                                        const google::protobuf::Message& reply,
                                        ::grpc::CallbackServerContext* context,
                                        ::grpc::ByteBuffer* response) {
  if (status.ok()) status = SerializeMessage(reply, service.max_send_bytes, response);
  service.CountRpc(method, status.code(), start);
  ::grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status, RefusalReason::kNone, *context));
  return reactor;
}

::grpc::ServerUnaryReactor* AnswerNotBuilt(ServiceContext& service, std::string_view method,
                                           ::grpc::CallbackServerContext* context) {
  const CallStart start = StartOf(*context);
  absl::Status status = service.Admit(method, *context).status();
  if (status.ok()) {
    status =
        absl::UnimplementedError(absl::StrCat("this server does not have ", std::string(method)));
  }
  service.CountRpc(method, status.code(), start);
  ::grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status, RefusalReason::kNone, *context));
  return reactor;
}

}  // namespace reprise::server::grpc
