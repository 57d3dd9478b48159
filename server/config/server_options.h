// Everything `reprise serve` can be told: the options of its rooms, side by side.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/device/cpu/isa.h"
#include "server/config/json_log.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/metrics_server.h"
#include "server/repository/model_repository.h"
#include "server/repository/serving_core_impl.h"

namespace reprise::server::config {

struct ShutdownOptions {
  // After SIGTERM: how long to go on serving while health says no, so that load balancers can turn
  // away first. SIGINT skips it. 0 to 3600 s.
  std::chrono::seconds lame_duck{10};
  // After the lame duck: how long requests under way may take before they are ended with
  // UNAVAILABLE. 0 to 3600 s.
  std::chrono::seconds exit_timeout{30};
};

struct ServerOptions {
  repository::RepositoryOptions repository;
  repository::CoreOptions core;
  grpc::GrpcServerOptions grpc;
  metrics::MetricsServerOptions metrics;
  ShutdownOptions shutdown;
  std::string device = "cpu";                     // the only one so far
  std::optional<engine::device::CpuIsa> cpu_isa;  // nothing: the best there is
  LogLevel log_level = LogLevel::kInfo;
};

// InvalidArgument names the first option out of range, and the range.
absl::Status Validate(const ServerOptions& options);

}  // namespace reprise::server::config
