// The HTTP port that Prometheus scrapes.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/metrics_registry.h"
#include "server/metrics/process_metrics.h"

namespace prometheus {
class Exposer;
}

namespace reprise::server::metrics {

struct MetricsServerOptions {
  bool enabled = true;             // false: `serve` counts nothing and opens no port for it
  std::string host = "127.0.0.1";  // address to listen on; an IPv6 address without brackets
  int port = 8002;                 // 0..65535; 0: any free port
};

// Serves GET /metrics in the Prometheus text format until destroyed. Thread-safe.
class MetricsServer {
 public:
  // InvalidArgument for a port out of range, Unavailable when the address cannot be bound (taken,
  // not ours, no permission). `registry` must outlive the server.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const MetricsServerOptions& options,
                                                              const MetricsRegistry& registry);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const { return port_; }  // the bound one, never 0

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string host, int port,
                const MetricsRegistry& registry);

  std::shared_ptr<prometheus::Collectable> registry_;
  std::shared_ptr<ProcessMetrics> process_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // holds weak pointers to the two above
  std::string host_;
  int port_;
};

}  // namespace reprise::server::metrics
