#include "server/grpc/unknown_methods.h"

#include "absl/strings/str_cat.h"
#include "server/grpc/refused_stream.h"
#include "server/grpc/status.h"

namespace reprise::server::grpc {

::grpc::ServerGenericBidiReactor* UnknownMethods::CreateReactor(
    ::grpc::GenericCallbackServerContext* context) {
  const CallStart start = StartOf(*context);
  constexpr std::string_view kCountedAs = "_unknown";
  absl::Status status = service_.Admit(kCountedAs, *context).status();
  if (status.ok()) {
    status = absl::UnimplementedError(absl::StrCat("unknown method '", context->method(),
                                                   "'; reflection lists the services there are"));
  }
  service_.CountRpc(kCountedAs, status.code(), start);
  return new RefusedStream(ToGrpcStatus(status, RefusalReason::kNone, *context));
}

}  // namespace reprise::server::grpc
