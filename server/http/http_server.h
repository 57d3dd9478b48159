// The HTTP front end: one port that speaks the Open Inference Protocol over REST, from opening to
// draining to closed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/request/backend.h"
#include "server/request/inference_request.h"
#include "server/security/security.h"

namespace reprise::server::http {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // address to listen on; "0.0.0.0" or "::" for all
  int port = 8000;                 // 0 to 65535; 0 picks a free one
  int threads = 2;                 // that read, decode and write, 1 to 256
  int max_connections = 1024;      // open at a time, >= 1; more are answered 503 and closed
  // Largest body of a request, inflated, and of a reply, >= 1.
  std::int64_t max_receive_bytes = std::int64_t{64} << 20;
  std::int64_t max_send_bytes = std::int64_t{128} << 20;
  std::int64_t max_header_bytes = 16384;  // first line and headers of a request, 256 to 1 MiB
  // Memory for request bodies that are being received or inflated, over all connections, >= 1; a
  // request beyond it is refused.
  std::int64_t body_memory_bytes = std::int64_t{1} << 30;
  std::chrono::milliseconds idle_timeout{75'000};  // between two requests of a connection, >= 1 ms
  // For the head of a request from its first byte on, and for each of request body and reply, where
  // another second is allowed for every 16 KiB; >= 1 ms.
  std::chrono::milliseconds io_timeout{20'000};
  // Header that names the caller for fair sharing; empty: the peer's address.
  std::string client_key_header = "";
};

// InvalidArgument names the first field out of range, and the range.
absl::Status Validate(const HttpServerOptions& options);

// Stopping goes as with the gRPC server: BeginDrain -> (wait, still serving) -> RefuseNew ->
// Shutdown; any of the earlier steps may be left out. Thread-safe.
class HttpServer {
 public:
  // Opens the port. What `backend` and `guards` refer to outlives the server, and the core calls
  // back no more once the destructor has begun. InvalidArgument for options out of range;
  // FailedPrecondition when the address cannot be had, for example because another process has the
  // port.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                           const Backend& backend,
                                                           const security::PortGuards& guards = {});
  ~HttpServer();  // Shutdown without waiting, unless that has happened
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;  // the one that is open, also when 0 was asked for

  // Readiness says no, and each connection ends after its next answer; all else is as before.
  void BeginDrain();
  // New inferences are refused with 503; those under way go on, all else is answered.
  void RefuseNew();
  // True when no inference is under way, its answer sent; false when `deadline` came first.
  bool WaitUntilIdle(SteadyClock::time_point deadline);
  // RefuseNew, waits for inferences until `deadline`, ends those left with 503, closes the port and
  // all connections. Returns when nothing is left.
  void Shutdown(SteadyClock::time_point deadline);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::server::http
