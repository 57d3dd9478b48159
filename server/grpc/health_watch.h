// One open Watch of the health service.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "grpc/health/v1/health.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/grpc/service_context.h"
#include "server/request/open_calls.h"

namespace reprise::server::grpc {

// Sends every status that differs from the one sent before; a client that reads slowly gets the
// latest, not each in between. Lives until gRPC and the list of watches have let go. Thread-safe.
class HealthWatch final : public ::grpc::ServerWriteReactor<::grpc::ByteBuffer>,
                          public OpenCall,
                          public std::enable_shared_from_this<HealthWatch> {
 public:
  using Status = ::grpc::health::v1::HealthCheckResponse::ServingStatus;

  HealthWatch(ServiceContext& service, ::grpc::CallbackServerContext* context, std::string name,
              std::function<void(HealthWatch*)> on_done)
      : service_(service),
        context_(context),
        name_(std::move(name)),
        on_done_(std::move(on_done)) {}

  const std::string& name() const { return name_; }
  void Update(Status status);
  void End(const absl::Status& status) override;

 private:
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Write(Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ServiceContext& service_;
  ::grpc::CallbackServerContext* const context_;
  const CallStart start_ = StartOf(*context_);
  const std::string name_;
  const std::function<void(HealthWatch*)> on_done_;

  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Status> sent_ ABSL_GUARDED_BY(mutex_);
  std::optional<Status> next_ ABSL_GUARDED_BY(mutex_);  // to send after the write under way
  ::grpc::ByteBuffer buffer_ ABSL_GUARDED_BY(mutex_);   // of the write under way
};

}  // namespace reprise::server::grpc
