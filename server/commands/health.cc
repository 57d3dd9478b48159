#include "server/commands/health.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "server/commands/exit_status.h"
#include "server/request/host_and_port.h"

namespace reprise::server::commands {
namespace {

namespace health_v1 = ::grpc::health::v1;

struct HealthOptions {
  std::string host = "127.0.0.1";
  int port = 8001;
  std::string service;
  int timeout_ms = 1000;
};

ExitStatus CheckHealth(const HealthOptions& options) {
  const std::string address = HostAndPort(options.host, options.port);
  const auto stub = health_v1::Health::NewStub(
      ::grpc::CreateChannel(address, ::grpc::InsecureChannelCredentials()));
  ::grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(options.timeout_ms));
  health_v1::HealthCheckRequest request;
  request.set_service(options.service);
  health_v1::HealthCheckResponse response;
  const ::grpc::Status status = stub->Check(&context, request, &response);
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", address.c_str(), status.error_message().c_str());
    return kExitFailed;
  }
  std::puts(health_v1::HealthCheckResponse::ServingStatus_Name(response.status()).c_str());
  return response.status() == health_v1::HealthCheckResponse::SERVING ? kExitOk : kExitFailed;
}

}  // namespace

void AddHealthCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "health", "Ask a running server over gRPC whether it is well; status 0 if it is");
  auto options = std::make_shared<HealthOptions>();
  command->add_option("--host", options->host, "Address of the server")
      ->capture_default_str()
      ->type_name("ADDRESS");
  command->add_option("--port", options->port, "Its gRPC port")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  command
      ->add_option("--service", options->service,
                   "readiness, startup, liveness or a model's name; default: readiness")
      ->type_name("NAME");
  command->add_option("--timeout-ms", options->timeout_ms, "Milliseconds to wait for the answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 3'600'000));
  command->callback([options, exit_status] { *exit_status = CheckHealth(*options); });
}

}  // namespace reprise::server::commands
