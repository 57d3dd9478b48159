// The whole server with a model whose executor does nothing.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/config/json_log_control.h"
#include "server/grpc/grpc_server.h"
#include "server/metrics/metrics_observer.h"
#include "server/metrics/metrics_registry.h"
#include "server/metrics/statistics_observer.h"
#include "server/repository/serving_core_impl.h"
#include "server/request/observer_list.h"

namespace reprise::loadtest {

inline constexpr char kNoopModel[] = "noop";
inline constexpr int kNoopVocabulary = 1000;
inline constexpr int kNoopMaxTokens = 512;  // of a sequence

// As `reprise serve` runs it: real decoding, admission, batching, metrics and encoding.
class NoopServer {
 public:
  // `directory` is empty and outlives this; a small random checkpoint is written there. On a free
  // port of 127.0.0.1; ready when this returns.
  static absl::StatusOr<std::unique_ptr<NoopServer>> Start(const std::string& directory);
  ~NoopServer();
  NoopServer(const NoopServer&) = delete;
  NoopServer& operator=(const NoopServer&) = delete;

  int port() const { return grpc_->port(); }

 private:
  NoopServer() = default;

  server::metrics::MetricsRegistry registry_;
  server::metrics::MetricsObserver metrics_{registry_, {}};
  server::metrics::StatisticsObserver statistics_;
  server::ObserverList observer_{{&metrics_, &statistics_}};
  server::config::JsonLogControl log_;
  std::unique_ptr<server::repository::ServingCoreImpl> core_;
  std::unique_ptr<server::grpc::GrpcServer> grpc_;
};

}  // namespace reprise::loadtest
