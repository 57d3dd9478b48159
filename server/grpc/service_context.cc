#include "server/grpc/service_context.h"

#include "server/wire/size_limits.h"

namespace reprise::server::grpc {

absl::Status ServiceContext::CheckSize(std::size_t request_bytes) const {
  return wire::CheckRequestBytes(static_cast<std::int64_t>(request_bytes), max_receive_bytes);
}

}  // namespace reprise::server::grpc
