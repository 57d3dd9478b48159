// One inference over HTTP from its body to its only end.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/http/infer_request.h"
#include "server/http/response.h"
#include "server/http/router.h"
#include "server/http/service_context.h"
#include "server/http/status.h"
#include "server/http/strand_post.h"
#include "server/request/inference_request.h"
#include "server/request/open_calls.h"
#include "server/request/trace_context.h"

namespace reprise::server::http {

// An infer request as its connection has read it.
struct InferCall {
  Route route;
  std::optional<std::string> json_length;  // the header Inference-Header-Content-Length
  std::string client_key;
  TraceContext trace;
};

// Lives in the thread of its connection: everything but End and the core's answer is called there,
// and those two are handed over to it, so that no reply is written on an executor's thread. The
// first of answer, Abandon and End reports the inference to the observer; the others find it ended.
class Inference final : public OpenCall, public std::enable_shared_from_this<Inference> {
 public:
  using Answer = std::function<void(Response)>;

  // `answer` is called once, in the connection's thread, unless Abandon or Detach comes first.
  // `service` outlives this.
  Inference(ServiceContext& service, InferCall call, StrandPost::Post post, Answer answer);

  // Decodes the body, whose last byte has just come, and hands the request to the core. Call once.
  void Run(std::string body);
  // The body never became a request. Call instead of Run.
  void Fail(const Failure& failure);
  // The server takes no new inferences. Call instead of Run.
  void Refuse();
  // Nobody waits for the answer any more.
  void Abandon();
  // From now on nothing is called or posted. The destructor of the connection calls it.
  void Detach() { post_.Detach(); }

  void End(const absl::Status& status) override;

 private:
  void Complete(absl::StatusOr<InferenceReply> reply, RefusalReason refusal);
  void Finish(const Failure& failure);
  void Report(absl::StatusCode code, InferenceOutcome outcome);

  ServiceContext& service_;
  const InferCall call_;
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  const std::shared_ptr<RequestProgress> progress_ = std::make_shared<RequestProgress>();
  Answer answer_;
  SteadyClock::time_point arrival_ = SteadyClock::now();
  ReplyWishes wishes_;
  std::string id_;  // as the caller chose it
  std::chrono::nanoseconds decode_{0};
  SteadyClock::time_point deadline_ = SteadyClock::time_point::max();
  bool finished_ = false;
  StrandPost post_;
};

}  // namespace reprise::server::http
