#include "server/commands/serve.h"

#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "engine/backend.h"
#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/device_health.h"
#include "engine/layers/head_calibration_json.h"
#include "server/commands/exit_status.h"
#include "server/commands/stop_signals.h"
#include "server/config/build_info.h"
#include "server/config/flags.h"
#include "server/config/grpc_log.h"
#include "server/config/json_log.h"
#include "server/config/json_log_control.h"
#include "server/config/logging_observer.h"
#include "server/config/memory_limit.h"
#include "server/config/server_options.h"
#include "server/grpc/grpc_server.h"
#include "server/http/http_server.h"
#include "server/metrics/metrics_observer.h"
#include "server/metrics/metrics_registry.h"
#include "server/metrics/metrics_server.h"
#include "server/metrics/statistics_observer.h"
#include "server/repository/model_repository.h"
#include "server/repository/servable_loader.h"
#include "server/repository/serving_core_impl.h"
#include "server/request/clock.h"
#include "server/request/observer_list.h"
#include "server/security/exposure.h"
#include "server/security/security.h"
#include "server/trace/trace_file.h"
#include "server/trace/tracing_observer.h"

namespace reprise::server::commands {
namespace {

using config::LogError;
using config::LogInfo;
using config::LogWarning;
using config::ServerOptions;

// The rooms, in the order in which they may use each other.
struct Server {
  metrics::MetricsRegistry registry;
  metrics::MetricsObserver metrics{registry,
                                   {.version = config::BuildVersion(),
                                    .commit = config::BuildCommit(),
                                    .memory_limit_bytes = config::MemoryLimit()}};
  metrics::StatisticsObserver statistics;
  config::LoggingObserver log;
  config::JsonLogControl log_control;
  ObserverList file_events{{&metrics, &log}};    // of the trace file
  std::unique_ptr<trace::TraceFile> trace_file;  // null: no traces
  std::unique_ptr<trace::TracingObserver> tracing;
  std::unique_ptr<ObserverList> observer;
  std::unique_ptr<security::Security> security;
  repository::MemoryBudget memory{config::MemoryLimit(), repository::OwnMemoryBytes};
  std::unique_ptr<repository::ServingCoreImpl> core;
  std::unique_ptr<metrics::MetricsServer> metrics_server;
  std::unique_ptr<grpc::GrpcServer> grpc_server;
  std::unique_ptr<http::HttpServer> http_server;  // null without HTTP
};

// What the rooms report goes to metrics and log, and where asked for to the trace file.
absl::Status OpenObservers(const ServerOptions& options, Server* server) {
  if (!options.trace.file.empty()) {
    REPRISE_ASSIGN_OR_RETURN(
        server->trace_file,
        trace::TraceFile::Open(
            {.path = options.trace.file, .server_version = std::string(config::BuildVersion())},
            server->file_events));
    server->tracing =
        std::make_unique<trace::TracingObserver>(*server->trace_file, options.trace.sample_rate);
  }
  server->observer = std::make_unique<ObserverList>(
      std::vector<Observer*>{options.metrics.enabled ? &server->metrics : nullptr,
                             &server->statistics, &server->log, server->tracing.get()});
  return absl::OkStatus();
}

// Connections take file descriptors: the process asks for as many as it may have.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void ReportReload(std::string_view what, const absl::StatusOr<security::Security::Contents>& now,
                  Observer& observer) {
  if (now.ok()) {
    LogInfo("read again", {{"what", what}, {"now", now->description}});
    if (now->expires.has_value()) observer.OnCertificate(*now->expires);
  } else {
    LogWarning("changed files cannot be used, going on with those before",
               {{"what", what}, {"reason", std::string(now.status().message())}});
  }
}

// Says what is reachable from other machines without protection.
void WarnOfExposure(const ServerOptions& options) {
  const std::string& host = options.grpc.host;
  if (security::IsLoopback(host) || options.security.tls.enabled()) return;
  LogWarning("other machines can reach this server without TLS",
             {{"host", host}, {"tokens", !options.security.tokens_file.empty()}});
}

void LogListening(const ServerOptions& options, const Server& server) {
  config::LogFields fields = {{"host", options.grpc.host},
                              {"grpc_port", server.grpc_server->port()}};
  if (server.metrics_server != nullptr) fields["metrics_port"] = server.metrics_server->port();
  if (server.http_server != nullptr) fields["http_port"] = server.http_server->port();
  if (const auto health_port = server.grpc_server->health_port()) {
    fields["health_port"] = *health_port;
  }
  if (const auto* certificates = server.security->guards().certificates) {
    fields["tls"] = certificates->current()->subject;
    fields["tls_until"] = security::DateOf(certificates->current()->not_after);
    fields["tls_clients"] = options.security.tls.client_ca.empty() ? "any" : "with certificate";
  }
  fields["device"] = engine::ToString(options.repository.defaults.device);
  fields["cpu_isa"] = engine::device::DescribeCpuIsa();
  fields["version"] = config::BuildVersion();
  fields["commit"] = config::BuildCommit();
  LogInfo("listening", fields);
  WarnOfExposure(options);
}

absl::Status OpenSecurity(const ServerOptions& options, Server* server) {
  const auto on_reload = [&observer = *server->observer](std::string_view what, const auto& now) {
    ReportReload(what, now, observer);
  };
  REPRISE_ASSIGN_OR_RETURN(
      server->security, security::Security::Open(options.security, options.grpc.host, on_reload));
  if (const auto* certificates = server->security->guards().certificates) {
    server->observer->OnCertificate(certificates->current()->not_after);
  }
  return absl::OkStatus();
}

// Ports are open when this returns; no model is loaded yet.
absl::StatusOr<std::unique_ptr<Server>> OpenPorts(const ServerOptions& options,
                                                  std::vector<repository::ModelDirectory> models) {
  auto server = std::make_unique<Server>();
  REPRISE_RETURN_IF_ERROR(OpenObservers(options, server.get()));
  REPRISE_RETURN_IF_ERROR(OpenSecurity(options, server.get()));
  server->core = std::make_unique<repository::ServingCoreImpl>(
      std::move(models),
      repository::ModelSource{
          .find =
              [repository = options.repository](const std::string& name, const auto& policy) {
                return repository::FindModel(repository, name, policy);
              },
          .names = [repository =
                        options.repository] { return repository::ModelNames(repository); }},
      [&memory = server->memory](const auto&... what) {
        return repository::LoadServable(what..., memory);
      },
      options.core, Clock::Real(), *server->observer);
  if (options.metrics.enabled) {
    REPRISE_ASSIGN_OR_RETURN(
        server->metrics_server,
        metrics::MetricsServer::Start(options.metrics, server->registry, server->statistics));
  }
  const Backend backend = {
      .core = *server->core,
      .observer = *server->observer,
      .statistics = server->statistics,
      .log = server->log_control,
      .alive = [core = server->core.get()] { return core->Alive() && !engine::DeviceIsLost(); }};
  REPRISE_ASSIGN_OR_RETURN(
      server->grpc_server,
      grpc::GrpcServer::Start(config::GrpcOptions(options), backend, server->security->guards()));
  if (!options.no_http) {
    REPRISE_ASSIGN_OR_RETURN(
        server->http_server,
        http::HttpServer::Start(config::HttpOptions(options), backend, server->security->guards()));
  }
  LogListening(options, *server);
  return server;
}

// The signal that came while models were loading, or nothing when loading came to its end, whose
// outcome is then in `loaded`.
std::optional<int> WaitWhileLoading(Server& server, StopSignals& signals, absl::Status* loaded) {
  constexpr std::chrono::milliseconds kLook{50};  // how late a signal may be noticed
  while (true) {
    const auto outcome = server.core->AwaitLoaded(SteadyClock::now() + kLook);
    if (outcome.has_value()) {
      *loaded = *outcome;
      return std::nullopt;
    }
    const int signal = signals.Wait(SteadyClock::now());
    if (signal != 0) return signal;
  }
}

// The signal to stop, or nothing when a device is lost and the options say to stop then.
std::optional<int> WaitWhileServing(const ServerOptions& options, StopSignals& signals) {
  constexpr std::chrono::milliseconds kLook{500};  // how late a loss may be noticed
  bool told = false;
  while (true) {
    const int signal = signals.Wait(SteadyClock::now() + kLook);
    if (signal != 0) return signal;
    const std::optional<std::string> lost = engine::WhyDeviceWasLost();
    if (!lost.has_value()) continue;
    if (!told) LogError("device lost", {{"reason", *lost}});
    told = true;
    if (options.exit_on_device_loss) return std::nullopt;
  }
}

// One step of stopping, for both protocols.
template <typename Step>
void ForEachProtocol(Server& server, Step step) {
  step(*server.grpc_server);
  if (server.http_server != nullptr) step(*server.http_server);
}

// Serves on while health says no, then lets what is under way finish. Whether all of it did.
bool Drain(Server& server, const config::ShutdownOptions& options, const char* why,
           bool lame_duck) {
  LogInfo("stopping", {{"signal", why}});
  server.core->StopLoading();
  // The doors first: no answer says "not ready" and yet keeps its connection.
  ForEachProtocol(server, [](auto& protocol) { protocol.BeginDrain(); });
  server.core->StartLameDuck();
  if (lame_duck) std::this_thread::sleep_for(options.lame_duck);
  server.core->CloseGate();
  ForEachProtocol(server, [](auto& protocol) { protocol.RefuseNew(); });
  LogInfo("taking no new inferences");
  const SteadyClock::time_point deadline = SteadyClock::now() + options.exit_timeout;
  bool idle = true;
  ForEachProtocol(server, [&](auto& protocol) { idle = protocol.WaitUntilIdle(deadline) && idle; });
  idle = server.core->AwaitIdle(deadline) && idle;
  if (!idle) {
    LogWarning("ending requests under way with UNAVAILABLE",
               {{"exit_timeout_secs", options.exit_timeout.count()}});
  }
  ForEachProtocol(server, [&](auto& protocol) { protocol.Shutdown(deadline); });
  server.core->Shutdown();
  LogInfo("stopped");
  return idle;
}

ExitStatus ServeUntilStopped(Server& server, const ServerOptions& options, StopSignals& signals) {
  server.core->StartLoading();
  absl::Status loaded;
  std::optional<int> signal = WaitWhileLoading(server, signals, &loaded);
  // Health that never said yes sent nobody here who would have to turn away.
  const bool was_loading = signal.has_value();
  if (!was_loading) {
    if (loaded.ok()) {
      LogInfo("ready");
    } else if (options.core.keep_going) {
      LogWarning("serving without the models that did not load",
                 {{"first_failure", std::string(loaded.message())}});
    } else {
      LogError("stopped because a model did not load", {{"reason", std::string(loaded.message())}});
      ForEachProtocol(server, [](auto& protocol) { protocol.Shutdown(SteadyClock::now()); });
      server.core->Shutdown();
      return kExitFailed;
    }
    signal = WaitWhileServing(options, signals);
    if (!signal.has_value()) {
      Drain(server, options.shutdown, "device lost", /*lame_duck=*/false);
      return kExitFailed;
    }
  }
  signals.NextOneEndsTheProcess();
  const bool lame_duck = !was_loading && *signal != SIGINT;
  const char* name = *signal == SIGINT ? "SIGINT" : "SIGTERM";
  return Drain(server, options.shutdown, name, lame_duck) ? kExitOk : kExitFailed;
}

// Logs why the server cannot start.
ExitStatus Refuse(const absl::Status& status) {
  LogError("cannot start", {{"reason", std::string(status.message())}});
  const bool usage = status.code() == absl::StatusCode::kInvalidArgument ||
                     status.code() == absl::StatusCode::kNotFound;
  return usage ? kExitUsage : kExitFailed;
}

ExitStatus Serve(const ServerOptions& options) {
  StopSignals signals;
  config::InstallJsonLog(options.log_level);
  config::InstallGrpcLog();
  RaiseDescriptorLimit();
  if (absl::Status valid = config::Validate(options); !valid.ok()) return Refuse(valid);
  if (options.cpu_isa.has_value()) {
    if (absl::Status limited = engine::device::LimitCpuIsa(*options.cpu_isa); !limited.ok()) {
      return Refuse(limited);
    }
  }
  if (!options.calibration_file.empty()) {
    const auto calibrations = engine::layers::ReadCalibration(options.calibration_file);
    if (!calibrations.ok()) return Refuse(calibrations.status());
    engine::layers::UseCalibration(*calibrations);
  }
  // Before any port opens; what one model's model.json says is checked when that model loads.
  if (absl::Status device = engine::CheckDevice(options.repository.defaults.device); !device.ok()) {
    return Refuse(device);
  }
  auto models = repository::ModelsAtStart(options.core, options.repository);
  if (!models.ok()) return Refuse(models.status());
  auto server = OpenPorts(options, *std::move(models));
  if (!server.ok()) return Refuse(server.status());
  return ServeUntilStopped(**server, options, signals);
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "serve", "Answer inference requests over gRPC and HTTP until told to stop (SIGTERM, SIGINT)");
  command->footer(
      "Every flag can be given as an environment variable too, --grpc-port as REPRISE_GRPC_PORT.\n"
      "Status: 0 after a clean drain; 1 when a model did not load, a port could not be had or\n"
      "requests had to be ended; 2 for bad flags or a repository that cannot be read.");
  auto options = std::make_shared<ServerOptions>();
  config::AddServerFlags(*command, options.get());
  command->callback([options, exit_status] { *exit_status = Serve(*options); });
}

}  // namespace reprise::server::commands
