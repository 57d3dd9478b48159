#include "server/grpc/inference_run.h"

#include <utility>

#include "server/request/guarded.h"

namespace reprise::server::grpc {

void InferenceRun::Run(const InferenceMethod::Decode& decode, const ::grpc::ByteBuffer& bytes) {
  if (!caller_.admitted.ok()) return Complete(caller_.admitted, RefusalReason::kNone);
  auto request = std::make_unique<InferenceRequest>();
  request->arrival = caller_.start.arrival;
  request->deadline = caller_.deadline;
  RefusalReason refusal = RefusalReason::kTooLarge;
  absl::Status decoded = service_.CheckSize(bytes.Length());
  if (decoded.ok()) {
    decoded = Guarded("the request", [&] { return decode(bytes, request.get(), &encode_); });
    refusal = absl::IsResourceExhausted(decoded) ? RefusalReason::kNone : RefusalReason::kInvalid;
  }
  request->client_key = caller_.key;
  request->cancellation = cancellation_;
  request->progress = progress_;
  request->done = [run = shared_from_this()](absl::StatusOr<InferenceReply> reply,
                                             RefusalReason reason) {
    run->Complete(std::move(reply), reason);
  };
  names_ = {request->model_name, request->model_version, request->id};
  deadline_ = request->deadline;
  decode_ = SteadyClock::now() - caller_.start.arrival;
  // From here on other threads may end it, so nothing above may change any more.
  if (absl::Status begun = Begin(); !begun.ok()) {
    const bool draining = absl::IsUnavailable(begun);
    return Complete(std::move(begun), draining ? RefusalReason::kDraining : RefusalReason::kNone);
  }
  if (!decoded.ok()) return Complete(std::move(decoded), refusal);
  service_.core.Infer(std::move(request));
}

void InferenceRun::Complete(absl::StatusOr<InferenceReply> reply, RefusalReason refusal) {
  if (!Claim()) return;
  InferenceOutcome outcome;
  outcome.refusal = refusal;
  absl::Status status = reply.status();
  ::grpc::ByteBuffer response;
  if (reply.ok()) {
    outcome.timing = reply->timing;
    outcome.rows = reply->rows;
    outcome.tokens = reply->tokens;
    const SteadyClock::time_point start = SteadyClock::now();
    status = Guarded("the reply", [&] {
      return encode_(*std::move(reply), {.arrival = caller_.start.arrival, .decode = decode_},
                     &response);
    });
    outcome.encode = SteadyClock::now() - start;
  }
  Report(status, outcome, std::move(response));
}

void InferenceRun::Abandon(const absl::Status& status) {
  // First, because the core may answer a cancelled request at once, with a status of its own.
  if (!Claim()) return;
  cancellation_->Cancel();
  // Refused, if its deadline passed before it ran: what the sweep of its queue would have said.
  const bool refused =
      absl::IsDeadlineExceeded(status) && !RequestSteps::Reached(progress_->Read().batched);
  InferenceOutcome outcome;
  if (refused) outcome.refusal = RefusalReason::kDeadline;
  Report(status, outcome, {});
}

void InferenceRun::Report(const absl::Status& status, InferenceOutcome outcome,
                          ::grpc::ByteBuffer response) {
  const SteadyClock::time_point now = SteadyClock::now();
  outcome.protocol = kProtocol;
  outcome.method = method_;
  outcome.id = names_.id;
  outcome.model = names_.model;
  outcome.steps = progress_->Read();
  outcome.version = outcome.steps.version;
  outcome.code = status.code();
  outcome.arrival = caller_.start.arrival;
  outcome.duration = now - caller_.start.arrival;
  outcome.decode = decode_;
  outcome.trace = &caller_.start.trace;
  outcome.has_deadline = deadline_ != SteadyClock::time_point::max();
  if (outcome.has_deadline) outcome.deadline_slack = deadline_ - now;
  // Before the caller hears: whoever has the answer can rely on its being counted.
  service_.observer.OnInferenceFinished(outcome);
  service_.CountInference(method_, status.code(), caller_.start.arrival);
  OnFinished(status, outcome.refusal, std::move(response));
}

}  // namespace reprise::server::grpc
