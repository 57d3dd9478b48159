#include "server/http/http_server.h"

#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "engine/check.h"
#include "engine/range_check.h"
#include "server/http/listener.h"
#include "server/http/service_context.h"

namespace reprise::server::http {
namespace {

using engine::CheckRange;

// What a connection still open at the very end is given to send its last answer.
constexpr std::chrono::seconds kLastGrace{1};

}  // namespace

absl::Status Validate(const HttpServerOptions& options) {
  constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();
  constexpr std::int64_t kMaxHeaderBytes = std::int64_t{1} << 20;
  if (options.host.empty()) {
    return absl::InvalidArgumentError("host is empty, expected an address such as 127.0.0.1");
  }
  REPRISE_RETURN_IF_ERROR(CheckRange("http port", options.port, 0, 65535));
  REPRISE_RETURN_IF_ERROR(CheckRange("http threads", options.threads, 1, 256));
  REPRISE_RETURN_IF_ERROR(CheckRange("http max_connections", options.max_connections, 1, kMaxInt));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_receive_bytes", options.max_receive_bytes, 1, kMaxInt));
  REPRISE_RETURN_IF_ERROR(CheckRange("max_send_bytes", options.max_send_bytes, 1, kMaxInt));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("http max_header_bytes", options.max_header_bytes, 256, kMaxHeaderBytes));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("http body_memory_bytes", options.body_memory_bytes, 1, engine::kNoUpperLimit));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("http idle_timeout (ms)", options.idle_timeout.count(), 1, kMaxInt));
  return CheckRange("http io_timeout (ms)", options.io_timeout.count(), 1, kMaxInt);
}

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, const Backend& backend, const security::PortGuards& guards)
      : io_(options.threads),
        service_{.core = backend.core,
                 .observer = backend.observer,
                 .statistics = backend.statistics,
                 .log = backend.log,
                 .max_receive_bytes = options.max_receive_bytes,
                 .max_send_bytes = options.max_send_bytes,
                 .max_header_bytes = options.max_header_bytes,
                 .idle_timeout = options.idle_timeout,
                 .io_timeout = options.io_timeout,
                 .client_key_header = options.client_key_header,
                 .alive = backend.alive,
                 .access = guards.access,
                 .bodies = BodyBudget(options.body_memory_bytes)},
        certificates_(guards.certificates) {}

  absl::Status Open(const HttpServerOptions& options) {
    REPRISE_ASSIGN_OR_RETURN(listener_,
                             Listener::Open(options.host, options.port, options.max_connections,
                                            certificates_, service_, io_));
    listener_->Start();
    for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { io_.run(); });
    return absl::OkStatus();
  }

  ServiceContext& service() { return service_; }
  int port() const { return listener_->port(); }

  void Shutdown(SteadyClock::time_point deadline) {
    service_.draining = true;
    service_.inferences.Close();
    service_.inferences.WaitUntilEmpty(deadline);
    service_.inferences.EndAll(absl::UnavailableError(
        "the server stopped before the answer was ready; call another replica"));
    if (threads_.empty()) return;
    listener_->Close();
    service_.connections.Close();
    service_.connections.EndAll(absl::UnavailableError("the server stops"));
    service_.connections.WaitUntilEmpty(SteadyClock::now() + kLastGrace);
    service_.connections.EndAll(absl::AbortedError("the server stops"));
    // With nothing left to do the threads end by themselves.
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  ServiceContext service_;
  const security::CertificateStore* const certificates_;  // null: no TLS
  std::shared_ptr<Listener> listener_;
  std::vector<std::thread> threads_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                              const Backend& backend,
                                                              const security::PortGuards& guards) {
  REPRISE_RETURN_IF_ERROR(Validate(options));
  auto impl = std::make_unique<Impl>(options, backend, guards);
  REPRISE_RETURN_IF_ERROR(impl->Open(options));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Shutdown(SteadyClock::now()); }

int HttpServer::port() const { return impl_->port(); }
void HttpServer::BeginDrain() { impl_->service().draining = true; }
void HttpServer::RefuseNew() { impl_->service().inferences.Close(); }
bool HttpServer::WaitUntilIdle(SteadyClock::time_point deadline) {
  return impl_->service().inferences.WaitUntilEmpty(deadline);
}
void HttpServer::Shutdown(SteadyClock::time_point deadline) { impl_->Shutdown(deadline); }

}  // namespace reprise::server::http
