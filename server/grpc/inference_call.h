// One inference call from its arrival to its only end: answered, refused, cancelled or cut off.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/service_context.h"
#include "server/request/inference_request.h"
#include "server/request/open_calls.h"

namespace reprise::server::grpc {

// What is known of a call when its reply is written.
struct CallTimes {
  SteadyClock::time_point arrival;
  std::chrono::nanoseconds decode{0};
};

// How a method reads its request and writes its reply.
struct InferenceMethod {
  using Encode =
      std::function<absl::Status(InferenceReply, const CallTimes&, ::grpc::ByteBuffer* response)>;
  // Fills everything of `request` but arrival, cancellation and `done`, and `encode`. Sets
  // request->model_name as soon as it is known: a failure is reported under that name.
  using Decode = std::function<absl::Status(const ::grpc::ByteBuffer& bytes,
                                            InferenceRequest* request, Encode* encode)>;

  std::string_view name;  // as metrics count it; static
  Decode decode;
};

// Deleted when gRPC and the core have both let go. Completion, cancellation by the caller and the
// server's own end race for one atomic flag; the winner reports the call to the observer and
// finishes it, the others find it taken and touch nothing.
class InferenceCall final : public ::grpc::ServerUnaryReactor,
                            public OpenCall,
                            public std::enable_shared_from_this<InferenceCall> {
 public:
  // The reactor to return to gRPC. Never blocks beyond decoding.
  static ::grpc::ServerUnaryReactor* Start(ServiceContext& service, const InferenceMethod& method,
                                           ::grpc::CallbackServerContext* context,
                                           const ::grpc::ByteBuffer* bytes,
                                           ::grpc::ByteBuffer* response);

  void End(const absl::Status& status) override;

 private:
  InferenceCall(ServiceContext& service, std::string_view method,
                ::grpc::CallbackServerContext* context, ::grpc::ByteBuffer* response);

  void Run(const InferenceMethod& method, const ::grpc::ByteBuffer& bytes);
  void Complete(absl::StatusOr<InferenceReply> reply, RefusalReason refusal);
  // True for the first caller only.
  bool Claim() { return !finished_.exchange(true, std::memory_order_acq_rel); }
  // Requires: this thread has claimed the call.
  void Report(const absl::Status& status, InferenceOutcome outcome);

  void OnCancel() override;
  void OnDone() override;

  ServiceContext& service_;
  const std::string_view method_;
  ::grpc::CallbackServerContext* const context_;
  ::grpc::ByteBuffer* const response_;
  const CallStart start_;
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  const std::shared_ptr<RequestProgress> progress_ = std::make_shared<RequestProgress>();

  // Written by Run before anybody else knows the call; read by the winner.
  std::string id_;
  std::string model_;
  std::chrono::nanoseconds decode_{0};
  SteadyClock::time_point caller_deadline_ = SteadyClock::time_point::max();  // gRPC's
  SteadyClock::time_point deadline_ = SteadyClock::time_point::max();  // with the request's own
  InferenceMethod::Encode encode_;

  std::atomic<bool> finished_{false};
  std::shared_ptr<InferenceCall> self_;  // gRPC's share, dropped in OnDone
};

}  // namespace reprise::server::grpc
