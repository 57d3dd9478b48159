#include "server/grpc/health_service.h"

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/grpc/health_watch.h"
#include "server/grpc/unary_call.h"

namespace reprise::server::grpc {
namespace {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using ::grpc::health::v1::HealthListRequest;
using ::grpc::health::v1::HealthListResponse;

// Models become ready without telling this service; watchers learn of it within this time.
constexpr std::chrono::milliseconds kPollInterval{100};

HealthCheckResponse::ServingStatus Serving(bool serving) {
  return serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

}  // namespace

HealthService::HealthService(ServiceContext& service, HealthScope scope)
    : service_(service), scope_(scope), notifier_([this] { NotifyWatches(); }) {}

HealthService::~HealthService() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  notifier_.join();
}

void HealthService::Refresh() {
  MutexLock lock(mutex_);
  refresh_ = true;
  wake_.notify_all();
}

HealthService::Status HealthService::StatusOf(const std::string& name) {
  // Looked at for every name, so that a start that nobody asked about is remembered too.
  if (service_.core.Ready()) was_ready_ = true;
  if (name.empty() || name == "readiness") return Serving(service_.Ready());
  if (name == "startup") return Serving(was_ready_);
  if (name == "liveness") return Serving(service_.alive());
  if (scope_ == HealthScope::kServerOnly) return HealthCheckResponse::SERVICE_UNKNOWN;
  const absl::StatusOr<bool> ready = service_.core.ModelReady(name, "");
  if (!ready.ok()) {
    return absl::IsNotFound(ready.status()) ? HealthCheckResponse::SERVICE_UNKNOWN
                                            : HealthCheckResponse::NOT_SERVING;
  }
  return Serving(*ready && !service_.draining);
}

::grpc::ServerUnaryReactor* HealthService::Check(::grpc::CallbackServerContext* context,
                                                 const ::grpc::ByteBuffer* bytes,
                                                 ::grpc::ByteBuffer* response) {
  return AnswerAtOnce<HealthCheckRequest, HealthCheckResponse>(
      service_, "Health/Check", context, bytes, response,
      [this](const HealthCheckRequest& request, HealthCheckResponse* reply) -> absl::Status {
        reply->set_status(StatusOf(request.service()));
        if (reply->status() == HealthCheckResponse::SERVICE_UNKNOWN) {
          return absl::NotFoundError(absl::StrCat(
              "unknown service '", request.service(),
              "'; expected '', 'readiness', 'startup', 'liveness' or the name of a model"));
        }
        return absl::OkStatus();
      });
}

::grpc::ServerUnaryReactor* HealthService::List(::grpc::CallbackServerContext* context,
                                                const ::grpc::ByteBuffer* bytes,
                                                ::grpc::ByteBuffer* response) {
  return AnswerAtOnce<HealthListRequest, HealthListResponse>(
      service_, "Health/List", context, bytes, response,
      [this](const HealthListRequest&, HealthListResponse* reply) {
        std::vector<std::string> names = {"", "readiness", "startup", "liveness"};
        if (scope_ == HealthScope::kAll) {
          for (ModelIndexEntry& model : service_.core.Index()) {
            // Without a version it was never loaded, and nobody can ask for its health.
            if (!model.version.empty()) names.push_back(std::move(model.name));
          }
        }
        for (const std::string& name : names) {
          (*reply->mutable_statuses())[name].set_status(StatusOf(name));
        }
        return absl::OkStatus();
      });
}

::grpc::ServerWriteReactor<::grpc::ByteBuffer>* HealthService::Watch(
    ::grpc::CallbackServerContext* context, const ::grpc::ByteBuffer* bytes) {
  HealthCheckRequest request;
  absl::Status received = service_.Admit("Health/Watch", *context).status();
  if (received.ok()) received = ReceiveMessage(service_, *bytes, &request);
  const auto watch = std::make_shared<HealthWatch>(service_, context, request.service(),
                                                   [this](HealthWatch* done) { Forget(done); });
  {
    MutexLock lock(mutex_);
    watches_.insert(watch);
  }
  if (!received.ok()) {
    watch->End(received);
  } else if (!service_.streams.Add(watch)) {
    watch->End(absl::UnavailableError("the server is shutting down"));
  } else {
    watch->Update(StatusOf(watch->name()));
  }
  return watch.get();
}

void HealthService::Forget(HealthWatch* watch) {
  service_.streams.Remove(watch);
  MutexLock lock(mutex_);
  watches_.erase(watch->shared_from_this());
}

void HealthService::NotifyWatches() {
  while (true) {
    std::vector<std::shared_ptr<HealthWatch>> watches;
    {
      MutexLock lock(mutex_);
      if (!stopping_ && !refresh_) wake_.wait_for(lock.native(), kPollInterval);
      if (stopping_) return;
      refresh_ = false;
      watches.assign(watches_.begin(), watches_.end());
    }
    if (service_.core.Ready()) was_ready_ = true;
    for (const auto& watch : watches) watch->Update(StatusOf(watch->name()));
  }
}

}  // namespace reprise::server::grpc
