// Everything `reprise serve` can be told: the options of its rooms, side by side.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/device/cpu/isa.h"
#include "server/config/json_log.h"
#include "server/grpc/grpc_server.h"
#include "server/http/http_server.h"
#include "server/metrics/metrics_server.h"
#include "server/repository/model_repository.h"
#include "server/repository/serving_core_impl.h"
#include "server/security/security_options.h"
#include "server/trace/tracing_observer.h"

namespace reprise::server::config {

struct ShutdownOptions {
  // After SIGTERM: how long to go on serving while health says no, so that load balancers can turn
  // away first. SIGINT skips it. 0 to 3600 s.
  std::chrono::seconds lame_duck{10};
  // After the lame duck: how long requests under way may take before they are ended with
  // UNAVAILABLE. 0 to 3600 s.
  std::chrono::seconds exit_timeout{30};
};

inline constexpr int kNoHealthPort = -1;
inline constexpr int kDefaultHealthPort = 8003;

struct ServerOptions {
  repository::RepositoryOptions repository;
  repository::CoreOptions core;
  grpc::GrpcServerOptions grpc;    // front ends get GrpcOptions()
  std::optional<int> health_port;  // nothing: 8003 with TLS, none without; kNoHealthPort: none
  security::SecurityOptions security;
  bool no_http = false;
  http::HttpServerOptions http;  // front ends get HttpOptions()
  metrics::MetricsServerOptions metrics;
  trace::TraceOptions trace;
  ShutdownOptions shutdown;
  std::optional<engine::device::CpuIsa> cpu_isa;  // nothing: the best there is
  bool exit_on_device_loss = false;               // else it goes on, not ready and not alive
  std::string calibration_file;  // head times for strategy auto; empty: measured at load
  LogLevel log_level = LogLevel::kInfo;
};

// What these options mean for the gRPC front end: its own, the port for probes, and, where none was
// set, a memory quota of a quarter of what the process may use.
grpc::GrpcServerOptions GrpcOptions(const ServerOptions& options);

// "auto" (nothing), "off" (kNoHealthPort) or a port, 0 to 65535.
absl::StatusOr<std::optional<int>> ParseHealthPort(std::string_view text);

// `options.http`, with the host, the message limits and the caller's key of `options.grpc`: one
// flag sets each of them for both.
http::HttpServerOptions HttpOptions(const ServerOptions& options);

// InvalidArgument names the first option out of range, and the range.
absl::Status Validate(const ServerOptions& options);

}  // namespace reprise::server::config
