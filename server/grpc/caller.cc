#include "server/grpc/caller.h"

#include <chrono>
#include <utility>

#include "server/grpc/deadline.h"

namespace reprise::server::grpc {
namespace {

// gRPC tells deadlines on the system clock; the server counts on the steady one.
SteadyClock::time_point SteadyDeadline(const ::grpc::CallbackServerContext& context,
                                       SteadyClock::time_point now) {
  using System = std::chrono::system_clock;
  const System::time_point deadline = context.deadline();
  if (deadline == System::time_point::max()) return SteadyClock::time_point::max();
  const auto left = deadline - System::now();
  return left >= SteadyClock::time_point::max() - now ? SteadyClock::time_point::max() : now + left;
}

// "ipv4:10.0.0.7:51234" without the port.
std::string WithoutPort(std::string peer) {
  const std::size_t colon = peer.rfind(':');
  const bool has_port = peer.rfind("ipv4:", 0) == 0 || peer.rfind("ipv6:", 0) == 0;
  if (has_port && colon != std::string::npos) peer.resize(colon);
  return peer;
}

std::string ClientKey(const ::grpc::CallbackServerContext& context, const std::string& metadata,
                      const std::string& token_owner) {
  if (!metadata.empty()) {
    const auto found = context.client_metadata().find(metadata);
    if (found != context.client_metadata().end()) {
      return std::string(found->second.data(), found->second.size());
    }
  }
  return token_owner.empty() ? WithoutPort(context.peer()) : token_owner;
}

}  // namespace

Caller CallerOf(const ServiceContext& service, std::string_view method,
                const ::grpc::CallbackServerContext& context) {
  CallStart start = StartOf(context);
  const SteadyClock::time_point arrival = start.arrival;
  const absl::StatusOr<std::string> token_owner = service.Admit(method, context);
  return {.admitted = token_owner.status(),
          .start = std::move(start),
          .deadline = SteadyDeadline(context, arrival),
          .key = ClientKey(context, service.client_key_metadata, token_owner.value_or(""))};
}

absl::Status CancellationOf(const Caller& caller, SteadyClock::time_point now) {
  return EndedByDeadline(caller.start.arrival, caller.deadline, now)
             ? absl::DeadlineExceededError("the deadline passed before the answer was ready")
             : absl::CancelledError("the caller cancelled the request");
}

}  // namespace reprise::server::grpc
