#include "server/http/head_codec.h"

#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/beast/http/status.hpp"

namespace reprise::server::http {
namespace {

namespace http = boost::beast::http;

std::string Text(boost::beast::string_view text) { return std::string(text.data(), text.size()); }

// The values of a header, with commas between them where it came several times.
template <typename Fields>
std::string Joined(const Fields& fields, absl::string_view name) {
  std::string joined;
  const auto range = fields.equal_range(boost::beast::string_view(name.data(), name.size()));
  for (auto field = range.first; field != range.second; ++field) {
    absl::StrAppend(&joined, joined.empty() ? "" : ", ", Text(field->value()));
  }
  return joined;
}

template <typename Fields>
std::vector<std::string_view> ValuesOf(const Fields& fields, std::string_view name) {
  std::vector<std::string_view> values;
  const auto range = fields.equal_range(boost::beast::string_view(name.data(), name.size()));
  for (auto field = range.first; field != range.second; ++field) {
    values.emplace_back(field->value().data(), field->value().size());
  }
  return values;
}

}  // namespace

RequestHead HeadOf(const RequestParser& parser, const std::string& client_key_header) {
  const auto& message = parser.get();
  RequestHead head;
  head.verb = Text(message.method_string());
  head.target = Text(message.target());
  head.hosts = static_cast<int>(message.count(http::field::host));
  head.is_http_1_0 = message.version() == 10;
  head.keep_alive = message.keep_alive();
  head.expect = Joined(message, "Expect");
  head.transfer_encoding = Joined(message, "Transfer-Encoding");
  head.content_encoding = Joined(message, "Content-Encoding");
  head.accept_encoding = Joined(message, "Accept-Encoding");
  if (const auto length = parser.content_length()) head.content_length = *length;
  constexpr absl::string_view kJsonLength = "Inference-Header-Content-Length";
  if (message.count(boost::beast::string_view(kJsonLength.data(), kJsonLength.size())) > 0) {
    head.json_length = Joined(message, kJsonLength);
  }
  const auto credentials = message.equal_range(http::field::authorization);
  for (auto field = credentials.first; field != credentials.second; ++field) {
    head.authorization.push_back(Text(field->value()));
  }
  if (!client_key_header.empty()) head.client_key = Joined(message, client_key_header);
  head.trace = BeginTrace(ValuesOf(message, "traceparent"), ValuesOf(message, "tracestate"));
  return head;
}

std::string HeadText(const Response& response, bool keep_alive, bool is_http_1_0) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string head = absl::StrCat("HTTP/1.1 ", response.status, " ",
                                  absl::string_view(reason.data(), reason.size()), "\r\n",
                                  "Content-Type: ", std::string(response.content_type), "\r\n",
                                  "Content-Length: ", response.body_bytes(), "\r\n");
  for (const auto& [name, value] : response.headers) {
    absl::StrAppend(&head, std::string(name), ": ", value, "\r\n");
  }
  if (!keep_alive) {
    absl::StrAppend(&head, "Connection: close\r\n");
  } else if (is_http_1_0) {
    absl::StrAppend(&head, "Connection: keep-alive\r\n");
  }
  absl::StrAppend(&head, "\r\n");
  return head;
}

}  // namespace reprise::server::http
