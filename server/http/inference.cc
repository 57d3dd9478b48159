#include "server/http/inference.h"

#include <utility>
#include <vector>

#include "server/http/infer_reply.h"

namespace reprise::server::http {
namespace {

Failure Draining() {
  return {.status = absl::UnavailableError("the server is shutting down; call another replica"),
          .refusal = RefusalReason::kDraining};
}

}  // namespace

Inference::Inference(ServiceContext& service, InferCall call, Post post, Answer answer)
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
  absl::Status decoded =
      DecodeInfer(std::move(body), json_length, service_.core, request.get(), &wishes_);
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
    self->PostTask([self, reply = std::move(reply), refusal]() mutable {
      self->Complete(std::move(reply), refusal);
    });
  };
  if (!service_.inferences.Add(shared_from_this())) return Refuse();
  service_.core.Infer(std::move(request));
}

void Inference::Fail(const Failure& failure) { Finish(failure); }

void Inference::Refuse() { Finish(Draining()); }

void Inference::Abandon() {
  cancellation_->Cancel();
  if (finished_) return;
  finished_ = true;
  Report(absl::StatusCode::kCancelled, {});
}

void Inference::Detach() {
  MutexLock lock(mutex_);
  post_ = nullptr;
}

void Inference::End(const absl::Status& status) {
  cancellation_->Cancel();
  PostTask([self = shared_from_this(), status] { self->Finish({.status = status}); });
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
  if (!wishes_.classifications.empty()) labels = wire::LabelsOf(service_.core, *reply);
  absl::StatusOr<Response> response =
      EncodeInfer(*std::move(reply), wishes_, labels, service_.max_send_bytes);
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
  service_.CountRpc(call_.route.name, code);
}

void Inference::PostTask(Task task) {
  MutexLock lock(mutex_);
  if (post_) post_(std::move(task));
}

}  // namespace reprise::server::http
