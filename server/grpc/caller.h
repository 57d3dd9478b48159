// What a call's context says about who asks and how long they wait.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "server/grpc/call_start.h"
#include "server/grpc/service_context.h"
#include "server/request/inference_request.h"

namespace reprise::server::grpc {

struct Caller {
  absl::Status admitted;  // why the caller may not call, unless OK
  CallStart start;
  SteadyClock::time_point deadline = SteadyClock::time_point::max();  // gRPC's
  std::string key;                                                    // for fair sharing
};

// Asks `service` whether the caller may call `method`, a name as it is counted. What identifies it
// for fair sharing: the metadata that the service is told to look at, else the name of its token,
// else the peer's address without its port, which changes with every connection. Call it first: the
// call starts now.
Caller CallerOf(const ServiceContext& service, std::string_view method,
                const ::grpc::CallbackServerContext& context);

// How a call that gRPC reports as cancelled ended: DeadlineExceeded or Cancelled.
absl::Status CancellationOf(const Caller& caller, SteadyClock::time_point now);

}  // namespace reprise::server::grpc
