// What the connections of one HTTP server share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "server/http/body_budget.h"
#include "server/request/log_settings.h"
#include "server/request/model_statistics.h"
#include "server/request/observer.h"
#include "server/request/open_calls.h"
#include "server/request/serving_core.h"
#include "server/security/access_control.h"

namespace reprise::server::http {

inline constexpr std::string_view kProtocol = "http";  // in what is reported

// Outlives the connections. The members are constant or thread-safe.
struct ServiceContext {
  ServingCore& core;
  Observer& observer;
  const StatisticsSource& statistics;
  LogControl& log;
  const std::int64_t max_receive_bytes;
  const std::int64_t max_send_bytes;
  const std::int64_t max_header_bytes;
  const std::chrono::milliseconds idle_timeout;
  const std::chrono::milliseconds io_timeout;
  const std::string client_key_header;  // empty: the peer's address
  const std::function<bool()> alive;
  const security::AccessControl* const access;  // null: everybody may ask for everything

  BodyBudget bodies;
  OpenCalls inferences{};   // closed: new ones are refused
  OpenCalls connections{};  // closed: the server stops
  std::atomic<int> open_connections{0};
  std::atomic<bool> draining{false};

  bool Ready() const { return !draining.load(std::memory_order_acquire) && core.Ready(); }

  // Every request that could be read as far as its first line is reported here, once; an inference
  // without its trace, which belongs to its InferenceOutcome.
  void CountRpc(std::string_view method, absl::StatusCode code, SteadyClock::time_point arrival,
                const TraceContext* trace) {
    observer.OnRpcFinished({.protocol = kProtocol,
                            .method = method,
                            .code = code,
                            .arrival = arrival,
                            .trace = trace});
  }
};

}  // namespace reprise::server::http
