#include "server/grpc/reflection_service.h"

#include <memory>
#include <utility>

#include "server/grpc/message_bytes.h"
#include "server/grpc/status.h"
#include "server/grpc/unary_call.h"

namespace reprise::server::grpc {
namespace {

using Bytes = ::grpc::ByteBuffer;

constexpr std::string_view kCountedAs = "ServerReflectionInfo";

// Reads one request, writes its answer, reads the next. Lives until gRPC and the list of open
// streams have let go.
class ReflectionStream final : public ::grpc::ServerBidiReactor<Bytes, Bytes>,
                               public OpenCall,
                               public std::enable_shared_from_this<ReflectionStream> {
 public:
  ReflectionStream(ServiceContext& service, const ReflectionAnswers& answers,
                   ::grpc::CallbackServerContext* context)
      : service_(service), answers_(answers), context_(context) {}

  void Open() {
    self_ = shared_from_this();
    if (absl::Status may = service_.Admit(kCountedAs, *context_).status(); !may.ok()) {
      return End(may);
    }
    if (!service_.streams.Add(self_)) {
      return End(absl::UnavailableError("the server is shutting down"));
    }
    MutexLock lock(mutex_);
    if (!ended_) StartRead(&incoming_);
  }

  void End(const absl::Status& status) override {
    MutexLock lock(mutex_);
    if (std::exchange(ended_, true)) return;
    service_.CountRpc(kCountedAs, status.code(), start_);
    Finish(ToGrpcStatus(status, RefusalReason::kNone, *context_));
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return End(absl::OkStatus());  // the caller has no more requests
    ::grpc::reflection::v1::ServerReflectionRequest request;
    absl::Status status = ReceiveMessage(service_, incoming_, &request);
    if (status.ok()) {
      status = SerializeMessage(answers_.Answer(request), service_.max_send_bytes, &outgoing_);
    }
    if (!status.ok()) return End(status);
    MutexLock lock(mutex_);
    if (!ended_) StartWrite(&outgoing_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the caller has gone"));
    MutexLock lock(mutex_);
    if (!ended_) StartRead(&incoming_);
  }

  void OnCancel() override { End(absl::CancelledError("the caller has gone")); }

  void OnDone() override {
    service_.streams.Remove(this);
    const std::shared_ptr<ReflectionStream> self = std::move(self_);
  }

  ServiceContext& service_;
  const ReflectionAnswers& answers_;
  ::grpc::CallbackServerContext* const context_;
  const CallStart start_ = StartOf(*context_);
  Bytes incoming_;                          // gRPC's between StartRead and OnReadDone, then ours
  Bytes outgoing_;                          // ours until StartWrite, then gRPC's until OnWriteDone
  std::shared_ptr<ReflectionStream> self_;  // gRPC's share, dropped in OnDone

  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // nothing may be started after Finish
};

}  // namespace

::grpc::ServerBidiReactor<Bytes, Bytes>* OpenReflectionStream(
    ServiceContext& service, const ReflectionAnswers& answers,
    ::grpc::CallbackServerContext* context) {
  const auto stream = std::make_shared<ReflectionStream>(service, answers, context);
  stream->Open();
  return stream.get();
}

}  // namespace reprise::server::grpc
