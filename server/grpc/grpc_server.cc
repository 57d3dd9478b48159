#include "server/grpc/grpc_server.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/range_check.h"
#include "grpc/grpc.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/grpc/connection_listener.h"
#include "server/grpc/health_service.h"
#include "server/grpc/inference_service.h"
#include "server/grpc/reflection_service.h"
#include "server/grpc/reprise_service.h"
#include "server/grpc/service_context.h"
#include "server/grpc/tls_credentials.h"
#include "server/grpc/unknown_methods.h"

namespace reprise::server::grpc {
namespace {

// gRPC drops a message above its own limit before any service sees it, uncounted. Its limits lie
// this much above ours, so that messages somewhat too large are refused by us.
constexpr std::int64_t kLimitSlack = std::int64_t{1} << 20;
constexpr std::int64_t kMaxMessageBytes = std::numeric_limits<int>::max() - kLimitSlack;

// Descriptors that connections leave to everything else: models that load, metrics, and, for a
// quarter of them, the health port, which must answer when the other is full.
constexpr int kSpareDescriptors = 64;

// The same for metadata, where gRPC's own refusal may also cost the caller its connection.
constexpr int kMetadataSlack = 64 << 10;

// What a call still open at the very end is given to end by itself.
constexpr std::chrono::seconds kLastGrace{1};

constexpr int kMaxProbeBytes = 4096;  // of a question about health and its answer

using engine::CheckRange;

void SetMilliseconds(::grpc::ServerBuilder& builder, const char* name,
                     std::chrono::milliseconds value) {
  builder.AddChannelArgument(name, static_cast<int>(value.count()));
}

// What holds for every port: pings, ages, sizes of metadata.
void SetConnectionRules(::grpc::ServerBuilder& builder, const GrpcServerOptions& options) {
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                             options.max_metadata_bytes + kMetadataSlack);
  SetMilliseconds(builder, GRPC_ARG_KEEPALIVE_TIME_MS, options.keepalive_time);
  SetMilliseconds(builder, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options.keepalive_timeout);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, options.max_pings_without_data);
  SetMilliseconds(builder, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                  options.min_ping_interval);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, options.max_ping_strikes);
  if (options.max_connection_age.count() > 0) {
    SetMilliseconds(builder, GRPC_ARG_MAX_CONNECTION_AGE_MS, options.max_connection_age);
    SetMilliseconds(builder, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                    options.max_connection_age_grace);
  }
  if (options.max_connection_idle.count() > 0) {
    SetMilliseconds(builder, GRPC_ARG_MAX_CONNECTION_IDLE_MS, options.max_connection_idle);
  }
}

// An open port: who listens and who serves.
struct Port {
  std::unique_ptr<ConnectionListener> listener;
  std::unique_ptr<::grpc::Server> server;

  void Shutdown() {
    if (server == nullptr) return;
    listener->Close();
    server->Shutdown(std::chrono::system_clock::now() + kLastGrace);
    server->Wait();
  }
};

// gRPC ends its threads with its last user, and one that is just covering a slow reader's socket
// takes up to ten seconds to notice. A process that stops need not wait for that.
void KeepGrpcUntilExit() {
  static const bool kept = (grpc_init(), true);
  (void)kept;
}

// Starts a server of what was registered with `builder`.
absl::StatusOr<Port> OpenPort(::grpc::ServerBuilder& builder, const std::string& host, int port,
                              const char* flag, int max_descriptors,
                              std::shared_ptr<::grpc::ServerCredentials> credentials) {
  auto listener = ConnectionListener::Open(host, port, max_descriptors);
  if (!listener.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(listener.status().message(),
                                                      "; choose another address with --host and ",
                                                      flag, " (0 picks a free port)"));
  }
  using FromDescriptor = ::grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  auto acceptor = builder.experimental().AddExternalConnectionAcceptor(FromDescriptor::FROM_FD,
                                                                       std::move(credentials));
  Port opened{*std::move(listener), builder.BuildAndStart()};
  if (opened.server == nullptr) return absl::InternalError("gRPC could not be started");
  opened.listener->Start(std::move(acceptor));
  return opened;
}

}  // namespace

absl::Status Validate(const GrpcServerOptions& options) {
  constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();
  if (options.host.empty()) {
    return absl::InvalidArgumentError("host is empty, expected an address such as 127.0.0.1");
  }
  REPRISE_RETURN_IF_ERROR(CheckRange("port", options.port, 0, 65535));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_receive_bytes", options.max_receive_bytes, 1, kMaxMessageBytes));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_send_bytes", options.max_send_bytes, 1, kMaxMessageBytes));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_concurrent_streams", options.max_concurrent_streams, 1, kMaxInt));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_stream_items", options.max_stream_items, 1, 65536));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_metadata_bytes", options.max_metadata_bytes, 1, 1 << 24));
  if (options.health_port.has_value()) {
    REPRISE_RETURN_IF_ERROR(CheckRange("health_port", *options.health_port, 0, 65535));
  }
  if (options.client_key_metadata == "authorization") {
    return absl::InvalidArgumentError(
        "client_key_metadata is 'authorization', which holds secrets; callers with tokens are "
        "told apart by the tokens' names without it");
  }
  constexpr std::int64_t kMaxSeconds = kMaxInt / 1000;  // gRPC takes milliseconds
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_connection_age (s)", options.max_connection_age.count(), 0, kMaxSeconds));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_connection_age_grace (s)",
                                     options.max_connection_age_grace.count(), 0, kMaxSeconds));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_connection_idle (s)", options.max_connection_idle.count(), 0, kMaxSeconds));
  REPRISE_RETURN_IF_ERROR(CheckRange("memory_quota_bytes", options.memory_quota_bytes,
                                     kMemoryQuotaAuto, engine::kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("keepalive_time (ms)", options.keepalive_time.count(), 1, kMaxInt));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("keepalive_timeout (ms)", options.keepalive_timeout.count(), 1, kMaxInt));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_pings_without_data", options.max_pings_without_data, 0, kMaxInt));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("min_ping_interval (ms)", options.min_ping_interval.count(), 0, kMaxInt));
  return CheckRange("max_ping_strikes", options.max_ping_strikes, 0, kMaxInt);
}

class GrpcServer::Impl {
 public:
  Impl(const GrpcServerOptions& options, const Backend& backend, const security::PortGuards& guards)
      : service_{.core = backend.core,
                 .observer = backend.observer,
                 .statistics = backend.statistics,
                 .log = backend.log,
                 .max_receive_bytes = options.max_receive_bytes,
                 .max_send_bytes = options.max_send_bytes,
                 .max_metadata_bytes = options.max_metadata_bytes,
                 .client_key_metadata = options.client_key_metadata,
                 .max_stream_items = options.max_stream_items,
                 .alive = backend.alive,
                 .access = guards.access},
        probes_{.core = backend.core,
                .observer = backend.observer,
                .statistics = backend.statistics,
                .log = backend.log,
                .max_receive_bytes = kMaxProbeBytes,
                .max_send_bytes = kMaxProbeBytes,
                .max_metadata_bytes = options.max_metadata_bytes,
                .client_key_metadata = "",
                .max_stream_items = options.max_stream_items,
                .alive = backend.alive},
        credentials_(guards.certificates == nullptr ? ::grpc::InsecureServerCredentials()
                                                    : TlsCredentials(*guards.certificates)) {}

  absl::Status Open(const GrpcServerOptions& options) {
    ::grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_receive_bytes + kLimitSlack));
    builder.SetMaxSendMessageSize(static_cast<int>(options.max_send_bytes + kLimitSlack));
    SetConnectionRules(builder, options);
    if (options.memory_quota_bytes > 0) {
      builder.SetResourceQuota(::grpc::ResourceQuota("reprise").Resize(options.memory_quota_bytes));
    }
    builder.RegisterService(&inference_);
    builder.RegisterService(&reprise_);
    builder.RegisterService(&health_);
    builder.RegisterService(&reflection_v1_);
    builder.RegisterService(&reflection_v1alpha_);
    builder.RegisterCallbackGenericService(&unknown_);
    REPRISE_ASSIGN_OR_RETURN(
        port_, OpenPort(builder, options.host, options.port, "--grpc-port",
                        DescriptorLimit(options.max_connections, kSpareDescriptors), credentials_));
    return options.health_port.has_value() ? OpenHealthPort(options) : absl::OkStatus();
  }

  int port() const { return port_.listener->port(); }
  std::optional<int> health_port() const {
    if (health_port_.listener == nullptr) return std::nullopt;
    return health_port_.listener->port();
  }

  void BeginDrain() {
    service_.draining = true;
    health_.Refresh();
    probes_.draining = true;
    probe_health_.Refresh();
  }

  ServiceContext& service() { return service_; }

  void Shutdown(SteadyClock::time_point deadline) {
    BeginDrain();
    service_.inferences.Close();
    service_.inferences.WaitUntilEmpty(deadline);
    service_.inferences.EndAll(absl::UnavailableError(
        "the server stopped before the answer was ready; call another replica"));
    for (OpenCalls* streams : {&service_.streams, &probes_.streams}) {
      streams->Close();
      streams->EndAll(absl::UnavailableError("the server is shutting down"));
    }
    port_.Shutdown();
    health_port_.Shutdown();
  }

 private:
  absl::Status OpenHealthPort(const GrpcServerOptions& options) {
    ::grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(kMaxProbeBytes + static_cast<int>(kLimitSlack));
    SetConnectionRules(builder, options);
    builder.RegisterService(&probe_health_);
    builder.RegisterCallbackGenericService(&probe_unknown_);
    REPRISE_ASSIGN_OR_RETURN(
        health_port_,
        OpenPort(builder, options.host, *options.health_port, "--health-port",
                 DescriptorLimit(0, kSpareDescriptors / 4), ::grpc::InsecureServerCredentials()));
    return absl::OkStatus();
  }

  ServiceContext service_;
  InferenceService inference_{service_};
  RepriseService reprise_{service_};
  HealthService health_{service_};
  const ReflectionAnswers answers_{
      {::inference::GRPCInferenceService::service_full_name(), v1::Reprise::service_full_name(),
       ::grpc::health::v1::Health::service_full_name(),
       ::grpc::reflection::v1::ServerReflection::service_full_name(),
       // By way of its file: no code uses its messages, so the linker would leave the file out.
       ::grpc::reflection::v1alpha::ServerReflectionRequest::descriptor()
           ->file()
           ->service(0)
           ->full_name()},
      *google::protobuf::DescriptorPool::generated_pool()};
  ReflectionService<ReflectionV1Base> reflection_v1_{service_, answers_};
  ReflectionService<ReflectionV1AlphaBase> reflection_v1alpha_{service_, answers_};
  UnknownMethods unknown_{service_};
  ServiceContext probes_;  // of the health port, which knows nothing of tokens
  HealthService probe_health_{probes_, HealthScope::kServerOnly};
  UnknownMethods probe_unknown_{probes_};
  const std::shared_ptr<::grpc::ServerCredentials> credentials_;
  Port port_;  // last: its calls use everything above
  Port health_port_;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const Backend& backend,
                                                              const security::PortGuards& guards) {
  REPRISE_RETURN_IF_ERROR(Validate(options));
  KeepGrpcUntilExit();
  auto impl = std::make_unique<Impl>(options, backend, guards);
  REPRISE_RETURN_IF_ERROR(impl->Open(options));
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() { Shutdown(SteadyClock::now()); }

int GrpcServer::port() const { return impl_->port(); }
std::optional<int> GrpcServer::health_port() const { return impl_->health_port(); }
void GrpcServer::BeginDrain() { impl_->BeginDrain(); }
void GrpcServer::RefuseNew() { impl_->service().inferences.Close(); }
bool GrpcServer::WaitUntilIdle(SteadyClock::time_point deadline) {
  return impl_->service().inferences.WaitUntilEmpty(deadline);
}
void GrpcServer::Shutdown(SteadyClock::time_point deadline) { impl_->Shutdown(deadline); }

}  // namespace reprise::server::grpc
