// What the services of one gRPC server share.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "server/grpc/call_start.h"
#include "server/request/log_settings.h"
#include "server/request/model_statistics.h"
#include "server/request/observer.h"
#include "server/request/open_calls.h"
#include "server/request/serving_core.h"
#include "server/security/access_control.h"

namespace reprise::server::grpc {

inline constexpr std::string_view kProtocol = "grpc";  // in what is reported

// Outlives the services and every call. The members are constant or thread-safe.
struct ServiceContext {
  ServingCore& core;
  Observer& observer;
  const StatisticsSource& statistics;
  LogControl& log;
  const std::int64_t max_receive_bytes;
  const std::int64_t max_send_bytes;
  const std::int64_t max_metadata_bytes;
  const std::string client_key_metadata;  // empty: the peer's address
  const int max_stream_items;             // inferences of one stream between read and answered
  const std::function<bool()> alive;
  const security::AccessControl* const access = nullptr;  // null: everybody may call everything

  OpenCalls inferences{};  // and streams of them; closed: new ones are refused
  OpenCalls streams{};     // health watches and reflection
  std::atomic<bool> draining{false};

  bool Ready() const { return !draining.load(std::memory_order_acquire) && core.Ready(); }

  // Every call that reached a service is reported here, once; an inference without its trace,
  // which belongs to its InferenceOutcome.
  void CountRpc(std::string_view method, absl::StatusCode code, const CallStart& start) {
    observer.OnRpcFinished({.protocol = kProtocol,
                            .method = method,
                            .code = code,
                            .arrival = start.arrival,
                            .trace = &start.trace});
  }
  void CountInference(std::string_view method, absl::StatusCode code,
                      SteadyClock::time_point arrival) {
    observer.OnRpcFinished(
        {.protocol = kProtocol, .method = method, .code = code, .arrival = arrival});
  }
  // The name of the caller's token, empty where none is needed. Unauthenticated or PermissionDenied
  // when the caller may not call `method`, a name as it is counted; ResourceExhausted when its
  // metadata is too large. Every method asks this first.
  absl::StatusOr<std::string> Admit(std::string_view method,
                                    const ::grpc::CallbackServerContext& context) const;
  // ResourceExhausted for a request that is larger than the receive limit.
  absl::Status CheckSize(std::size_t request_bytes) const;
};

}  // namespace reprise::server::grpc
