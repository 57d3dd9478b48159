#include "server/grpc/inference_call.h"

#include <algorithm>
#include <utility>

#include "server/grpc/deadline.h"
#include "server/grpc/status.h"

namespace reprise::server::grpc {
namespace {

// gRPC tells deadlines on the system clock; the server counts on the steady one.
SteadyClock::time_point SteadyDeadline(const ::grpc::CallbackServerContext& context,
                                       SteadyClock::time_point now) {
  using System = std::chrono::system_clock;
  const System::time_point deadline = context.deadline();
  if (deadline == System::time_point::max()) return SteadyClock::time_point::max();
  const auto left = deadline - System::now();
  return left >= SteadyClock::time_point::max() - now ? SteadyClock::time_point::max() : now + left;
}

// "ipv4:10.0.0.7:51234" without the port, which changes with every connection of a client.
std::string WithoutPort(std::string peer) {
  const std::size_t colon = peer.rfind(':');
  const bool has_port = peer.rfind("ipv4:", 0) == 0 || peer.rfind("ipv6:", 0) == 0;
  if (has_port && colon != std::string::npos) peer.resize(colon);
  return peer;
}

// Who the caller is, for fair sharing: what its metadata says, else whose token it showed, else
// where it calls from.
std::string ClientKey(const ::grpc::CallbackServerContext& context, const std::string& metadata,
                      const std::string& token_owner) {
  if (!metadata.empty()) {
    const auto found = context.client_metadata().find(metadata);
    if (found != context.client_metadata().end()) {
      return std::string(found->second.data(), found->second.size());
    }
  }
  return token_owner.empty() ? WithoutPort(context.peer()) : token_owner;
}

absl::Status Draining() {
  return absl::UnavailableError("the server is shutting down; call another replica");
}

}  // namespace

::grpc::ServerUnaryReactor* InferenceCall::Start(ServiceContext& service,
                                                 const InferenceMethod& method,
                                                 ::grpc::CallbackServerContext* context,
                                                 const ::grpc::ByteBuffer* bytes,
                                                 ::grpc::ByteBuffer* response) {
  const std::shared_ptr<InferenceCall> call(
      new InferenceCall(service, method.name, context, response));
  call->self_ = call;
  call->Run(method, *bytes);
  // Alive still: gRPC's share is dropped in OnDone, which follows this return.
  return call.get();
}

InferenceCall::InferenceCall(ServiceContext& service, std::string_view method,
                             ::grpc::CallbackServerContext* context, ::grpc::ByteBuffer* response)
    : service_(service),
      method_(method),
      context_(context),
      response_(response),
      start_(StartOf(*context)) {}

void InferenceCall::Run(const InferenceMethod& method, const ::grpc::ByteBuffer& bytes) {
  const absl::StatusOr<std::string> caller = service_.Admit(method_, *context_);
  if (!caller.ok()) return Complete(caller.status(), RefusalReason::kNone);
  if (service_.inferences.closed()) return Complete(Draining(), RefusalReason::kDraining);
  if (absl::Status size = service_.CheckSize(bytes.Length()); !size.ok()) {
    return Complete(std::move(size), RefusalReason::kTooLarge);
  }
  auto request = std::make_unique<InferenceRequest>();
  request->arrival = start_.arrival;
  caller_deadline_ = SteadyDeadline(*context_, start_.arrival);
  request->deadline = caller_deadline_;
  InferenceMethod::Encode encode;
  absl::Status decoded = method.decode(bytes, request.get(), &encode);
  request->client_key = ClientKey(*context_, service_.client_key_metadata, *caller);
  request->cancellation = cancellation_;
  request->progress = progress_;
  request->done = [call = shared_from_this()](absl::StatusOr<InferenceReply> reply,
                                              RefusalReason refusal) {
    call->Complete(std::move(reply), refusal);
  };
  id_ = request->id;
  model_ = request->model_name;
  deadline_ = request->deadline;
  encode_ = std::move(encode);
  decode_ = SteadyClock::now() - start_.arrival;
  if (!decoded.ok()) return Complete(std::move(decoded), RefusalReason::kInvalid);
  // From here on other threads may end the call, so nothing above may change any more.
  if (!service_.inferences.Add(shared_from_this())) {
    return Complete(Draining(), RefusalReason::kDraining);
  }
  service_.core.Infer(std::move(request));
}

void InferenceCall::Complete(absl::StatusOr<InferenceReply> reply, RefusalReason refusal) {
  if (!Claim()) return;
  InferenceOutcome outcome;
  outcome.refusal = refusal;
  absl::Status status = reply.status();
  if (reply.ok()) {
    outcome.timing = reply->timing;
    outcome.rows = reply->rows;
    outcome.tokens = reply->tokens;
    const SteadyClock::time_point start = SteadyClock::now();
    status = encode_(*std::move(reply), {.arrival = start_.arrival, .decode = decode_}, response_);
    outcome.encode = SteadyClock::now() - start;
  }
  Report(status, outcome);
}

void InferenceCall::End(const absl::Status& status) {
  cancellation_->Cancel();
  if (Claim()) Report(status, {});
}

void InferenceCall::OnCancel() {
  cancellation_->Cancel();
  if (!Claim()) return;
  const bool late = EndedByDeadline(start_.arrival, caller_deadline_, SteadyClock::now());
  if (!late) return Report(absl::CancelledError("the caller cancelled the request"), {});
  // Refused, if it came too late to run: what the sweep of its queue would have said.
  const bool ran = RequestSteps::Reached(progress_->Read().batched);
  Report(absl::DeadlineExceededError("the deadline passed before the answer was ready"),
         {.refusal = ran ? RefusalReason::kNone : RefusalReason::kDeadline});
}

void InferenceCall::Report(const absl::Status& status, InferenceOutcome outcome) {
  const SteadyClock::time_point now = SteadyClock::now();
  outcome.protocol = kProtocol;
  outcome.method = method_;
  outcome.id = id_;
  outcome.model = model_;
  outcome.steps = progress_->Read();
  outcome.version = outcome.steps.version;
  outcome.code = status.code();
  outcome.arrival = start_.arrival;
  outcome.duration = now - start_.arrival;
  outcome.decode = decode_;
  outcome.trace = &start_.trace;
  outcome.has_deadline = deadline_ != SteadyClock::time_point::max();
  if (outcome.has_deadline) outcome.deadline_slack = deadline_ - now;
  // Before Finish: whoever has the answer can rely on its being counted.
  service_.observer.OnInferenceFinished(outcome);
  service_.CountInference(method_, status.code(), start_.arrival);
  Finish(ToGrpcStatus(status, outcome.refusal, *context_));
}

void InferenceCall::OnDone() {
  service_.inferences.Remove(this);
  // The last line: this may be the last share of the object.
  const std::shared_ptr<InferenceCall> self = std::move(self_);
}

}  // namespace reprise::server::grpc
