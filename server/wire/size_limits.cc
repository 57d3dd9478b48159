#include "server/wire/size_limits.h"

#include "absl/strings/str_cat.h"

namespace reprise::server::wire {

absl::Status CheckRequestBytes(std::int64_t bytes, std::int64_t max_receive_bytes) {
  if (bytes <= max_receive_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the request takes ", bytes, " bytes, more than the server's receive limit of ",
                   max_receive_bytes, "; send fewer rows at once, or raise --max-receive-bytes"));
}

absl::Status CheckReplyBytes(std::int64_t bytes, std::int64_t max_send_bytes) {
  if (bytes <= max_send_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the reply takes ", bytes, " bytes, more than the server's send limit of ",
                   max_send_bytes, "; ask for fewer rows or outputs, or raise --max-send-bytes"));
}

}  // namespace reprise::server::wire
