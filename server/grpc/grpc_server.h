// The gRPC front end: one port with every service on it, from opening to draining to closed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/request/backend.h"
#include "server/request/inference_request.h"
#include "server/security/security.h"

namespace reprise::server::grpc {

inline constexpr std::int64_t kMemoryQuotaAuto = -1;  // whoever starts the server decides; else 0

struct GrpcServerOptions {
  std::string host = "127.0.0.1";  // address to listen on; "0.0.0.0" or "::" for all
  int port = 8001;                 // 0 to 65535; 0 picks a free one
  // A second port, without TLS and tokens, that only answers whether the server lives and is ready;
  // nothing: there is none.
  std::optional<int> health_port = std::nullopt;
  // Largest request and reply message, 1 to 2146435071 (2 GiB - 1 MiB - 1).
  std::int64_t max_receive_bytes = std::int64_t{64} << 20;
  std::int64_t max_send_bytes = std::int64_t{128} << 20;
  // Open connections beyond which new ones are closed at once, 0 to 2^20; those of other ports and
  // open files count too. 0: what the process's limit on file descriptors allows, less some spare.
  int max_connections = 0;
  int max_concurrent_streams = 1024;  // open calls per connection, >= 1
  // Requests of one stream between being read and being answered; then nothing more is read from
  // it. 1 to 65536.
  int max_stream_items = 128;
  int max_metadata_bytes = 16384;  // of a call's metadata, all together, 1 to 2^24
  // Memory for messages being received, over all connections; 0: no limit. Connections are cut off
  // when it is used up.
  std::int64_t memory_quota_bytes = kMemoryQuotaAuto;
  // Key of the metadata that names the caller for fair sharing, lower case; empty: the peer's
  // address.
  std::string client_key_metadata = "";
  // Pings. A client that pings more often than it may is disconnected.
  std::chrono::milliseconds keepalive_time{7'200'000};   // silence before the server pings
  std::chrono::milliseconds keepalive_timeout{20'000};   // wait for the answer
  int max_pings_without_data = 2;                        // of the server; 0: no limit
  std::chrono::milliseconds min_ping_interval{300'000};  // of a client without open calls
  int max_ping_strikes = 2;                              // 0: clients may ping as they like
  // When to ask clients to open another connection, so that load spreads over new servers and
  // certificates that have been replaced go out of use. 0: never.
  std::chrono::seconds max_connection_age{0};
  std::chrono::seconds max_connection_age_grace{60};  // for calls that are open then
  std::chrono::seconds max_connection_idle{0};        // without a call
};

// InvalidArgument names the first field out of range, and the range.
absl::Status Validate(const GrpcServerOptions& options);

// Stopping goes BeginDrain -> (wait, still serving) -> RefuseNew -> Shutdown; any of the earlier
// steps may be left out. Thread-safe.
class GrpcServer {
 public:
  // Opens the port: calls are answered from now on, inference by whatever the core says. `guards`
  // outlive the server. InvalidArgument for options out of range; FailedPrecondition when the
  // address cannot be had, for example because another process has the port.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           const Backend& backend,
                                                           const security::PortGuards& guards = {});
  ~GrpcServer();  // Shutdown without waiting, unless that has happened
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  int port() const;  // the one that is open, also when 0 was asked for
  std::optional<int> health_port() const;

  // Health and readiness say no from now on; everything is served as before.
  void BeginDrain();
  // New inferences are refused with Unavailable; those under way go on, all else is answered.
  void RefuseNew();
  // True when no inference is under way, false when `deadline` came first.
  bool WaitUntilIdle(SteadyClock::time_point deadline);
  // RefuseNew, waits for inferences until `deadline`, ends those left with Unavailable, ends health
  // watches and reflection streams, closes the port. Returns when no call is left.
  void Shutdown(SteadyClock::time_point deadline);

 private:
  class Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::server::grpc
