#include "server/grpc/control_call.h"

#include <chrono>
#include <utility>

#include "grpcpp/support/slice.h"
#include "server/grpc/status.h"

namespace reprise::server::grpc {

std::shared_ptr<ControlCall> ControlCall::Start(ServiceContext& service, std::string_view method,
                                                ::grpc::CallbackServerContext* context,
                                                ::grpc::ByteBuffer* response) {
  const std::shared_ptr<ControlCall> call(new ControlCall(service, method, context, response));
  call->self_ = call;
  if (!service.streams.Add(call)) call->End(absl::UnavailableError("the server is shutting down"));
  return call;
}

ControlCall::ControlCall(ServiceContext& service, std::string_view method,
                         ::grpc::CallbackServerContext* context, ::grpc::ByteBuffer* response)
    : service_(service),
      method_(method),
      context_(context),
      response_(response),
      start_(StartOf(*context)) {}

void ControlCall::End(const absl::Status& status) {
  if (finished_.exchange(true, std::memory_order_acq_rel)) return;
  if (status.ok()) {
    const ::grpc::Slice no_fields;
    *response_ = ::grpc::ByteBuffer(&no_fields, 1);
  }
  service_.CountRpc(method_, status.code(), start_);
  Finish(ToGrpcStatus(status, RefusalReason::kNone, *context_));
}

void ControlCall::OnCancel() {
  const bool late = context_->deadline() <= std::chrono::system_clock::now();
  End(late ? absl::DeadlineExceededError("the deadline passed; what was asked for goes on")
           : absl::CancelledError("the caller gave up; what was asked for goes on"));
}

void ControlCall::OnDone() {
  service_.streams.Remove(this);
  // The last line: this may be the last share of the object.
  const std::shared_ptr<ControlCall> self = std::move(self_);
}

}  // namespace reprise::server::grpc
