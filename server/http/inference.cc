#include "server/http/inference.h"

#include <utility>
#include <vector>

#include "server/http/infer_reply.h"
#include "server/request/guarded.h"
#include "server/wire/retry_hint.h"

namespace reprise::server::http {

Inference::Inference(ServiceContext& service, InferCall call, StrandPost::Post post, Answer answer)
    : service_(service),
      call_(std::move(call)),
      answer_(std::move(answer)),
      post_(std::move(post)) {}

void Inference::Run(std::string body) {
  arrival_ = SteadyClock::now();
  auto request = std::make_unique<InferenceRequest>();
  request->arrival = arrival_;
  request->model_name = call_.route.model;
  request->model_version = call_.route.version;
  request->client_key = call_.client_key;
  request->cancellation = cancellation_;
  request->progress = progress_;
  std::optional<std::string_view> json_length;
  if (call_.json_length.has_value()) json_length = *call_.json_length;
  absl::Status decoded = Guarded("the request", [&] {
    return DecodeInfer(std::move(body), json_length, service_.core, request.get(), &wishes_);
  });
  id_ = request->id;
  deadline_ = request->deadline;
  decode_ = SteadyClock::now() - arrival_;
  if (!decoded.ok()) {
    const bool invalid = absl::IsInvalidArgument(decoded) || absl::IsUnimplemented(decoded);
    return Finish({.status = std::move(decoded),
                   .refusal = invalid ? RefusalReason::kInvalid : RefusalReason::kNone});
  }
  // Weak: once the connection has let go nobody is interested any more.
  request->done = [weak = weak_from_this()](absl::StatusOr<InferenceReply> reply,
                                            RefusalReason refusal) {
    const std::shared_ptr<Inference> self = weak.lock();
    if (self == nullptr) return;
    self->post_([self, reply = std::move(reply), refusal]() mutable {
      self->Complete(std::move(reply), refusal);
    });
  };
  if (!service_.inferences.Add(shared_from_this())) return Refuse();
  service_.core.Infer(std::move(request));
}

void Inference::Fail(const Failure& failure) { Finish(failure); }

void Inference::Refuse() {
  Finish({.status = wire::Draining(), .refusal = RefusalReason::kDraining});
}

void Inference::Abandon() {
  cancellation_->Cancel();
  if (finished_) return;
  finished_ = true;
  Report(absl::StatusCode::kCancelled, {});
}

void Inference::End(const absl::Status& status) {
  // First, because the core may answer a cancelled request at once, with a status of its own.
  post_([self = shared_from_this(), status] { self->Finish({.status = status}); });
  cancellation_->Cancel();
}

void Inference::Complete(absl::StatusOr<InferenceReply> reply, RefusalReason refusal) {
  if (!reply.ok()) return Finish({.status = reply.status(), .refusal = refusal});
  if (finished_) return;
  InferenceOutcome outcome;
  outcome.timing = reply->timing;
  outcome.rows = reply->rows;
  outcome.tokens = reply->tokens;
  std::vector<std::string> labels;
  const SteadyClock::time_point start = SteadyClock::now();
  absl::StatusOr<Response> response = Guarded("the reply", [&] {
    if (!wishes_.classifications.empty()) labels = wire::LabelsOf(service_.core, *reply);
    return EncodeInfer(*std::move(reply), wishes_, labels, service_.max_send_bytes);
  });
  outcome.encode = SteadyClock::now() - start;
  finished_ = true;
  Report(response.status().code(), outcome);
  answer_(response.ok() ? *std::move(response) : ErrorResponse({.status = response.status()}));
}

void Inference::Finish(const Failure& failure) {
  if (finished_) return;
  finished_ = true;
  InferenceOutcome outcome;
  outcome.refusal = failure.refusal;
  Report(failure.status.code(), outcome);
  answer_(ErrorResponse(failure));
}

void Inference::Report(absl::StatusCode code, InferenceOutcome outcome) {
  const SteadyClock::time_point now = SteadyClock::now();
  outcome.protocol = kProtocol;
  outcome.method = call_.route.name;
  outcome.id = id_;
  outcome.model = call_.route.model;
  outcome.steps = progress_->Read();
  outcome.version = outcome.steps.version;
  outcome.code = code;
  outcome.arrival = arrival_;
  outcome.trace = &call_.trace;
  outcome.duration = now - arrival_;
  outcome.decode = decode_;
  outcome.has_deadline = deadline_ != SteadyClock::time_point::max();
  if (outcome.has_deadline) outcome.deadline_slack = deadline_ - now;
  // Before the answer: whoever has it can rely on its being counted.
  service_.observer.OnInferenceFinished(outcome);
  service_.CountRpc(call_.route.name, code, arrival_, nullptr);
}

}  // namespace reprise::server::http
