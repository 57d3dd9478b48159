#include "server/commands/health.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "engine/check.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "server/commands/exit_status.h"
#include "server/request/host_and_port.h"
#include "server/security/small_file.h"

namespace reprise::server::commands {
namespace {

namespace health_v1 = ::grpc::health::v1;

struct HealthOptions {
  std::string host = "127.0.0.1";
  int port = 8001;
  std::string service;
  int timeout_ms = 1000;
  std::string tls_ca;    // empty: no TLS
  std::string tls_cert;  // this client's own, where the server asks for one
  std::string tls_key;
  std::string tls_server_name;  // empty: `host`
};

// Like ReadSmallFile, but nothing for no path.
absl::StatusOr<std::string> ReadIfNamed(const std::string& path) {
  return path.empty() ? absl::StatusOr<std::string>("") : security::ReadSmallFile(path);
}

absl::StatusOr<std::shared_ptr<::grpc::ChannelCredentials>> Credentials(
    const HealthOptions& options) {
  if (options.tls_ca.empty()) return ::grpc::InsecureChannelCredentials();
  ::grpc::SslCredentialsOptions tls;
  REPRISE_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadIfNamed(options.tls_ca));
  REPRISE_ASSIGN_OR_RETURN(tls.pem_cert_chain, ReadIfNamed(options.tls_cert));
  REPRISE_ASSIGN_OR_RETURN(tls.pem_private_key, ReadIfNamed(options.tls_key));
  return ::grpc::SslCredentials(tls);
}

ExitStatus CheckHealth(const HealthOptions& options) {
  const std::string address = HostAndPort(options.host, options.port);
  const auto credentials = Credentials(options);
  if (!credentials.ok()) {
    std::fprintf(stderr, "%s\n", std::string(credentials.status().message()).c_str());
    return kExitUsage;
  }
  ::grpc::ChannelArguments arguments;
  if (!options.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls_server_name);
  }
  const auto stub =
      health_v1::Health::NewStub(::grpc::CreateCustomChannel(address, *credentials, arguments));
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
  CLI::Option* ca = command->add_option(
      "--tls-ca", options->tls_ca,
      "PEM file of the CA that the server's certificate comes from; asks over TLS");
  CLI::Option* cert = command->add_option("--tls-cert", options->tls_cert,
                                          "PEM file of a certificate for servers that want one");
  CLI::Option* key = command->add_option("--tls-key", options->tls_key, "PEM file of its key");
  for (CLI::Option* file : {ca, cert, key}) file->type_name("FILE");
  cert->needs(ca)->needs(key);
  key->needs(cert);
  command
      ->add_option("--tls-server-name", options->tls_server_name,
                   "Name in the server's certificate, where it is not --host")
      ->needs(ca)
      ->type_name("NAME");
  command->callback([options, exit_status] { *exit_status = CheckHealth(*options); });
}

}  // namespace reprise::server::commands
