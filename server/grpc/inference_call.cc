#include "server/grpc/inference_call.h"

#include <utility>

#include "server/grpc/status.h"
#include "server/wire/retry_hint.h"

namespace reprise::server::grpc {

::grpc::ServerUnaryReactor* InferenceCall::Start(ServiceContext& service,
                                                 const InferenceMethod& method,
                                                 ::grpc::CallbackServerContext* context,
                                                 const ::grpc::ByteBuffer* bytes,
                                                 ::grpc::ByteBuffer* response) {
  const std::shared_ptr<InferenceCall> call(
      new InferenceCall(service, method.name, context, response));
  call->self_ = call;
  call->Run(method.decode, *bytes);
  // Alive still: gRPC's share is dropped in OnDone, which follows this return.
  return call.get();
}

InferenceCall::InferenceCall(ServiceContext& service, std::string_view method,
                             ::grpc::CallbackServerContext* context, ::grpc::ByteBuffer* response)
    : InferenceRun(service, method, CallerOf(service, method, *context)),
      context_(context),
      response_(response) {}

std::shared_ptr<InferenceCall> InferenceCall::Share() {
  return std::static_pointer_cast<InferenceCall>(shared_from_this());
}

absl::Status InferenceCall::Begin() {
  return service().inferences.Add(Share()) ? absl::OkStatus() : wire::Draining();
}

void InferenceCall::OnFinished(const absl::Status& status, RefusalReason refusal,
                               ::grpc::ByteBuffer response) {
  response_->Swap(&response);
  Finish(ToGrpcStatus(status, refusal, *context_));
}

void InferenceCall::OnCancel() { Abandon(CancellationOf(caller(), SteadyClock::now())); }

void InferenceCall::OnDone() {
  service().inferences.Remove(this);
  // The last line: this may be the last share of the object.
  const std::shared_ptr<InferenceCall> self = std::move(self_);
}

}  // namespace reprise::server::grpc
