#include "server/grpc/service_context.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "server/wire/size_limits.h"

namespace reprise::server::grpc {
namespace {

// As HTTP/2 counts a list of headers (RFC 9113, 10.5.1): 32 bytes on top of each.
std::int64_t MetadataBytes(const ::grpc::CallbackServerContext& context) {
  std::int64_t bytes = 0;
  for (const auto& [key, value] : context.client_metadata()) {
    bytes += static_cast<std::int64_t>(key.size() + value.size() + 32);
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> ServiceContext::Admit(
    std::string_view method, const ::grpc::CallbackServerContext& context) const {
  const std::int64_t metadata_bytes = MetadataBytes(context);
  if (metadata_bytes > max_metadata_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the metadata of the call takes ", metadata_bytes,
                     " bytes, more than the server's limit of ", max_metadata_bytes,
                     "; send less, or raise --max-metadata-bytes"));
  }
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
