// The first line and the headers of a request, as far as this server reads them, and whether the
// body is worth reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/http/content_coding.h"
#include "server/http/service_context.h"
#include "server/http/status.h"
#include "server/request/trace_context.h"

namespace reprise::server::http {

// Headers that came several times are joined with commas, except where there is a list.
struct RequestHead {
  std::string verb;
  std::string target;
  int hosts = 0;             // headers Host
  bool is_http_1_0 = false;  // which has no Host
  bool keep_alive = false;
  std::string expect;
  std::string transfer_encoding;
  std::string content_encoding;
  std::string accept_encoding;
  std::optional<std::uint64_t> content_length;
  std::optional<std::string> json_length;  // Inference-Header-Content-Length
  std::string client_key;                  // of the header that names the caller; may be empty
  std::vector<std::string> authorization;
  TraceContext trace;  // from traceparent and tracestate, or a new one
};

// Why the body need not be read; nothing when it may come.
std::optional<Failure> ExamineHead(const RequestHead& head, std::int64_t max_receive_bytes);

}  // namespace reprise::server::http
