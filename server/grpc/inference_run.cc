#include "server/grpc/inference_run.h"

#include <utility>

namespace reprise::server::grpc {

void InferenceRun::Run(const InferenceMethod::Decode& decode, const ::grpc::ByteBuffer& bytes) {
  if (!caller_.admitted.ok()) return Complete(caller_.admitted, RefusalReason::kNone);
  auto request = std::make_unique<InferenceRequest>();
  request->arrival = caller_.arrival;
  request->deadline = caller_.deadline;
  RefusalReason refusal = RefusalReason::kTooLarge;
  absl::Status decoded = service_.CheckSize(bytes.Length());
  if (decoded.ok()) {
    refusal = RefusalReason::kInvalid;
    decoded = decode(bytes, request.get(), &encode_);
  }
  request->client_key = caller_.key;
  request->cancellation = cancellation_;
  request->done = [run = shared_from_this()](absl::StatusOr<InferenceReply> reply,
                                             RefusalReason reason) {
    run->Complete(std::move(reply), reason);
  };
  names_ = {request->model_name, request->model_version, request->id};
  deadline_ = request->deadline;
  decode_ = SteadyClock::now() - caller_.arrival;
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
  outcome.version = names_.version;
  outcome.refusal = refusal;
  absl::Status status = reply.status();
  ::grpc::ByteBuffer response;
  // The reply dies in encoding, so what it says about itself is kept here.
  std::string version;
  if (reply.ok()) {
    version = reply->model_version;
    outcome.version = version;
    outcome.timing = reply->timing;
    outcome.rows = reply->rows;
    outcome.tokens = reply->tokens;
    const SteadyClock::time_point start = SteadyClock::now();
    status = encode_(*std::move(reply), {.arrival = caller_.arrival, .decode = decode_}, &response);
    outcome.encode = SteadyClock::now() - start;
  }
  Report(status, outcome, std::move(response));
}

void InferenceRun::Abandon(const absl::Status& status) {
  cancellation_->Cancel();
  if (!Claim()) return;
  InferenceOutcome outcome;
  outcome.version = names_.version;
  Report(status, outcome, {});
}

void InferenceRun::Report(const absl::Status& status, InferenceOutcome outcome,
                          ::grpc::ByteBuffer response) {
  const SteadyClock::time_point now = SteadyClock::now();
  outcome.model = names_.model;
  outcome.code = status.code();
  outcome.duration = now - caller_.arrival;
  outcome.decode = decode_;
  outcome.has_deadline = deadline_ != SteadyClock::time_point::max();
  if (outcome.has_deadline) outcome.deadline_slack = deadline_ - now;
  // Before the caller hears: whoever has the answer can rely on its being counted.
  service_.observer.OnInferenceFinished(outcome);
  service_.CountRpc(method_, status.code());
  OnFinished(status, outcome.refusal, std::move(response));
}

}  // namespace reprise::server::grpc
