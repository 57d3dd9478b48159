// Bodies that are sent compressed: gzip and deflate (RFC 9110, 8.4.1).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::server::http {

enum class ContentCoding : std::uint8_t { kIdentity, kGzip, kDeflate };

std::string_view Name(ContentCoding coding);  // as in headers

// The coding that a Content-Encoding names; nothing for one that this server does not know, or for
// several at once. Empty is kIdentity.
std::optional<ContentCoding> ParseContentEncoding(std::string_view header);

// The coding to answer with: the most wanted of those that an Accept-Encoding allows, gzip before
// deflate where it wants them alike; kIdentity where it names neither.
ContentCoding ChooseCoding(std::string_view accept_encoding);

// The bytes that `body` stands for. `grow` is asked before that many more bytes are kept, and ends
// the work with its error: a body of a few KiB can stand for gigabytes. InvalidArgument for bytes
// that are damaged, cut off, or followed by others. Requires: `coding` is not kIdentity.
absl::StatusOr<std::string> Inflate(std::string_view body, ContentCoding coding,
                                    const std::function<absl::Status(std::int64_t bytes)>& grow);

// The pieces as one compressed body, made for speed rather than size. Requires: as above.
std::string Deflate(const std::vector<std::string>& pieces, ContentCoding coding);

}  // namespace reprise::server::http
