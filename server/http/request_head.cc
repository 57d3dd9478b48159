#include "server/http/request_head.h"

#include "absl/strings/match.h"

namespace reprise::server::http {

std::optional<Failure> ExamineHead(const RequestHead& head, std::int64_t max_receive_bytes) {
  if (head.hosts > 1 || (head.hosts == 0 && !head.is_http_1_0)) {
    return BadRequest(head.hosts > 1 ? "found several headers Host, expected one"
                                     : "found no header Host, which HTTP/1.1 demands");
  }
  // Anything before `chunked` would be another coding of the body.
  if (!head.transfer_encoding.empty() &&
      !absl::EqualsIgnoreCase(head.transfer_encoding, "chunked")) {
    return UnknownTransferCoding(head.transfer_encoding);
  }
  if (!head.expect.empty() && !absl::EqualsIgnoreCase(head.expect, "100-continue")) {
    return UnknownExpectation(head.expect);
  }
  if (!ParseContentEncoding(head.content_encoding).has_value()) {
    return UnknownCoding(head.content_encoding);
  }
  if (head.content_length.value_or(0) > static_cast<std::uint64_t>(max_receive_bytes)) {
    return BodyTooLarge(max_receive_bytes);
  }
  return std::nullopt;
}

}  // namespace reprise::server::http
