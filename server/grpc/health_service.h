// grpc.health.v1.Health, answering from the first moment that the port is open.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <thread>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/grpc/raw_service.h"
#include "server/grpc/service_context.h"

namespace reprise::server::grpc {

using HealthServiceBase = RawService<::grpc::health::v1::Health::Service,
                                     ::grpc::health::v1::Health::WithRawCallbackMethod_Check,
                                     ::grpc::health::v1::Health::WithRawCallbackMethod_Watch,
                                     ::grpc::health::v1::Health::WithRawCallbackMethod_List>;

class HealthWatch;

enum class HealthScope : std::uint8_t {
  kAll,         // everything below
  kServerOnly,  // no models: their names are as unknown as any other
};

// Names that can be asked for:
//   - "" and "readiness": every model configured at start was ready once, and the server does not
//     drain;
//   - "startup": readiness was reached once; stays so;
//   - "liveness": the process can still do its work; says nothing about models or queues;
//   - a model's name: that model can be called, and the server does not drain.
//
// gRPC's own health service is not used: it answers SERVING before anything is ready, and its open
// watches hold up a shutdown. Thread-safe.
class HealthService final : public HealthServiceBase {
 public:
  // Starts the thread that tells watchers of changes.
  explicit HealthService(ServiceContext& service, HealthScope scope = HealthScope::kAll);
  ~HealthService() override;

  // Tells watchers at once instead of within the polling interval.
  void Refresh();

 private:
  using Status = ::grpc::health::v1::HealthCheckResponse::ServingStatus;

  ::grpc::ServerUnaryReactor* Check(::grpc::CallbackServerContext* context,
                                    const ::grpc::ByteBuffer* bytes,
                                    ::grpc::ByteBuffer* response) override;
  ::grpc::ServerUnaryReactor* List(::grpc::CallbackServerContext* context,
                                   const ::grpc::ByteBuffer* bytes,
                                   ::grpc::ByteBuffer* response) override;
  ::grpc::ServerWriteReactor<::grpc::ByteBuffer>* Watch(::grpc::CallbackServerContext* context,
                                                        const ::grpc::ByteBuffer* bytes) override;

  // SERVICE_UNKNOWN for a name that nothing has.
  Status StatusOf(const std::string& name);
  void NotifyWatches();
  void Forget(HealthWatch* watch);

  ServiceContext& service_;
  const HealthScope scope_;
  std::atomic<bool> was_ready_{false};

  Mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool refresh_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<HealthWatch>> watches_ ABSL_GUARDED_BY(mutex_);
  std::thread notifier_;
};

}  // namespace reprise::server::grpc
