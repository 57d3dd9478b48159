#include "server/metrics/metrics_server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "prometheus/exposer.h"
#include "server/metrics/engine_memory_metrics.h"
#include "server/metrics/host_metrics.h"
#include "server/metrics/process_metrics.h"
#include "server/metrics/triton_metrics.h"
#include "server/request/host_and_port.h"

namespace reprise::server::metrics {
namespace {

// Opens and closes a connection; does nothing where that fails.
void ConnectOnce(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  if (getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &addresses) != 0) return;
  const int descriptor = socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor >= 0) {
    (void)connect(descriptor, addresses->ai_addr, addresses->ai_addrlen);
    close(descriptor);
  }
  freeaddrinfo(addresses);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const MetricsServerOptions& options, const MetricsRegistry& registry,
    const StatisticsSource& statistics) {
  if (options.port < 0 || options.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics port is ", options.port, ", expected 0..65535 (0: any free port)"));
  }
  const std::string address = HostAndPort(options.host, options.port);
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address);
    const std::vector<int> ports = exposer->GetListeningPorts();
    REPRISE_CHECK(!ports.empty());
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(std::move(exposer), options.host, ports.front(),
                          {registry.collectable(), std::make_shared<TritonMetrics>(statistics),
                           std::make_shared<HostMetrics>(), std::make_shared<ProcessMetrics>(),
                           std::make_shared<EngineMemoryMetrics>()}));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen for metrics on ", address,
        ": the port is taken, or the address is not one of this machine; choose another one (",
        error.what(), ")"));
  }
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string host,
                             int port, std::vector<std::shared_ptr<prometheus::Collectable>> pages)
    : pages_(std::move(pages)), exposer_(std::move(exposer)), host_(std::move(host)), port_(port) {
  for (const auto& page : pages_) exposer_->RegisterCollectable(page);
}

MetricsServer::~MetricsServer() {
  // The HTTP library looks at its stop flag every two seconds, or when a connection comes.
  std::atomic<bool> stopped = false;
  std::thread stopping([this, &stopped] {
    exposer_.reset();
    stopped.store(true);
  });
  while (!stopped.load()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ConnectOnce(host_, port_);
  }
  stopping.join();
}

}  // namespace reprise::server::metrics
