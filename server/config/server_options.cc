#include "server/config/server_options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/config/memory_limit.h"

namespace reprise::server::config {
namespace {

std::optional<int> HealthPort(const ServerOptions& options) {
  if (options.health_port == kNoHealthPort) return std::nullopt;
  if (options.health_port.has_value()) return options.health_port;
  return options.security.tls.enabled() ? std::optional(kDefaultHealthPort) : std::nullopt;
}

}  // namespace

grpc::GrpcServerOptions GrpcOptions(const ServerOptions& options) {
  grpc::GrpcServerOptions meant = options.grpc;
  meant.health_port = HealthPort(options);
  const bool is_set = meant.memory_quota_bytes != grpc::kMemoryQuotaAuto;
  if (!is_set) meant.memory_quota_bytes = MemoryLimit() / 4;
  return meant;
}

absl::StatusOr<std::optional<int>> ParseHealthPort(std::string_view text) {
  const std::string word(text);
  int port = 0;
  if (word == "auto") return std::optional<int>();
  if (word == "off") return std::optional<int>(kNoHealthPort);
  if (absl::SimpleAtoi(word, &port) && port >= 0 && port <= 65535) return std::optional<int>(port);
  return absl::InvalidArgumentError(
      absl::StrCat("'", word, "' is not a port; expected auto, off or 0 to 65535"));
}

http::HttpServerOptions HttpOptions(const ServerOptions& options) {
  http::HttpServerOptions http = options.http;
  http.host = options.grpc.host;
  http.max_receive_bytes = options.grpc.max_receive_bytes;
  http.max_send_bytes = options.grpc.max_send_bytes;
  http.client_key_header = options.grpc.client_key_metadata;
  return http;
}

absl::Status Validate(const ServerOptions& options) {
  REPRISE_RETURN_IF_ERROR(repository::Validate(options.repository.defaults));
  REPRISE_RETURN_IF_ERROR(repository::Validate(options.core));
  REPRISE_RETURN_IF_ERROR(grpc::Validate(GrpcOptions(options)));
  return options.no_http ? absl::OkStatus() : http::Validate(HttpOptions(options));
}

}  // namespace reprise::server::config
