// When, and as part of which trace, a call came.
#pragma once

#include <string_view>
#include <vector>

#include "grpcpp/server_context.h"
#include "server/request/inference_request.h"
#include "server/request/trace_context.h"

namespace reprise::server::grpc {

struct CallStart {
  SteadyClock::time_point arrival;
  TraceContext trace;
};

// Call it first: the time is now.
inline CallStart StartOf(const ::grpc::ServerContextBase& context) {
  const SteadyClock::time_point arrival = SteadyClock::now();
  const auto values = [&context](const char* key) {
    std::vector<std::string_view> found;
    const auto [first, last] = context.client_metadata().equal_range(key);
    for (auto entry = first; entry != last; ++entry) {
      found.emplace_back(entry->second.data(), entry->second.size());
    }
    return found;
  };
  return {arrival, BeginTrace(values("traceparent"), values("tracestate"))};
}

}  // namespace reprise::server::grpc
