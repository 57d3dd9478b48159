#include "server/grpc/service_context.h"

#include "absl/strings/str_cat.h"

namespace reprise::server::grpc {

absl::Status ServiceContext::CheckSize(std::size_t request_bytes) const {
  if (static_cast<std::int64_t>(request_bytes) <= max_receive_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the request takes ", request_bytes, " bytes, more than the server's receive ", "limit of ",
      max_receive_bytes, "; send fewer rows at once, or raise --max-receive-bytes"));
}

}  // namespace reprise::server::grpc
