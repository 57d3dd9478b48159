#include "server/grpc/service_context.h"

#include <vector>

#include "server/wire/size_limits.h"

namespace reprise::server::grpc {

absl::StatusOr<std::string> ServiceContext::Authorize(
    std::string_view method, const ::grpc::CallbackServerContext& context) const {
  if (access == nullptr) return std::string();
  std::vector<std::string_view> values;
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  for (auto header = first; header != last; ++header) {
    values.emplace_back(header->second.data(), header->second.size());
  }
  return access->Authorize(security::GroupOf(method), values);
}

absl::Status ServiceContext::CheckSize(std::size_t request_bytes) const {
  return wire::CheckRequestBytes(static_cast<std::int64_t>(request_bytes), max_receive_bytes);
}

}  // namespace reprise::server::grpc
