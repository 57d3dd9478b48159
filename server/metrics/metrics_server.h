// The HTTP port that Prometheus scrapes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"
#include "server/metrics/metrics_registry.h"
#include "server/request/model_statistics.h"

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
  // `statistics` too: Triton's metrics are made from it.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const MetricsServerOptions& options,
                                                              const MetricsRegistry& registry,
                                                              const StatisticsSource& statistics);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const { return port_; }  // the bound one, never 0

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string host, int port,
                std::vector<std::shared_ptr<prometheus::Collectable>> pages);

  const std::vector<std::shared_ptr<prometheus::Collectable>> pages_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // holds weak pointers to the pages
  std::string host_;
  int port_;
};

}  // namespace reprise::server::metrics
