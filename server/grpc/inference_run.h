// One inference from its bytes to its only end, whatever kind of call carries it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/grpc/caller.h"
#include "server/grpc/service_context.h"
#include "server/request/inference_request.h"

namespace reprise::server::grpc {

// What is known of an inference when its reply is written.
struct CallTimes {
  SteadyClock::time_point arrival;
  std::chrono::nanoseconds decode{0};
};

// How a method reads its request and writes its reply.
struct InferenceMethod {
  using Encode =
      std::function<absl::Status(InferenceReply, const CallTimes&, ::grpc::ByteBuffer* response)>;
  // Fills everything of `request` but arrival, cancellation, progress and `done`, and `encode`.
  // Sets the request's names as soon as they are known: a failure is reported under them.
  using Decode = std::function<absl::Status(const ::grpc::ByteBuffer& bytes,
                                            InferenceRequest* request, Encode* encode)>;

  std::string_view name;  // as metrics count it; static
  Decode decode;
};

// What a request calls itself; an error reply says it too.
struct RequestNames {
  std::string model;
  std::string version;  // as asked for
  std::string id;
};

// Completion by the core and Abandon race for one atomic flag; the winner reports the inference to
// the observer and hands its end to OnFinished, the others find it taken and touch nothing.
class InferenceRun : public std::enable_shared_from_this<InferenceRun> {
 public:
  virtual ~InferenceRun() = default;
  InferenceRun(const InferenceRun&) = delete;
  InferenceRun& operator=(const InferenceRun&) = delete;

  // Ends it with `status`, and tells the core that nobody waits, unless it has ended. Requires:
  // Begin was called. Thread-safe.
  void Abandon(const absl::Status& status);

 protected:
  InferenceRun(ServiceContext& service, std::string_view method, Caller caller)
      : service_(service), method_(method), caller_(std::move(caller)) {}

  // Decodes and hands over to the core; never blocks beyond decoding. Call once.
  void Run(const InferenceMethod::Decode& decode, const ::grpc::ByteBuffer& bytes);

  // The moment from which other threads may call Abandon. Unavailable when the server takes no new
  // inferences; any error ends the inference.
  virtual absl::Status Begin() = 0;
  // Called exactly once, on any thread, after the observer has heard. `response` is the reply when
  // `status` is OK.
  virtual void OnFinished(const absl::Status& status, RefusalReason refusal,
                          ::grpc::ByteBuffer response) = 0;

  ServiceContext& service() const { return service_; }
  const Caller& caller() const { return caller_; }
  const RequestNames& names() const { return names_; }  // constant from Begin on

 private:
  void Complete(absl::StatusOr<InferenceReply> reply, RefusalReason refusal);
  // True for the first caller only.
  bool Claim() { return !finished_.exchange(true, std::memory_order_acq_rel); }
  // Requires: this thread has claimed the inference.
  void Report(const absl::Status& status, InferenceOutcome outcome, ::grpc::ByteBuffer response);

  ServiceContext& service_;
  const std::string_view method_;
  const Caller caller_;
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  const std::shared_ptr<RequestProgress> progress_ = std::make_shared<RequestProgress>();

  // Written by Run before anybody else knows the inference; read by the winner.
  RequestNames names_;
  std::chrono::nanoseconds decode_{0};
  SteadyClock::time_point deadline_ = SteadyClock::time_point::max();  // with the request's own
  InferenceMethod::Encode encode_;

  std::atomic<bool> finished_{false};
};

}  // namespace reprise::server::grpc
