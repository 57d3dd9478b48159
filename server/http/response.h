// One answer as it goes out: a status, headers and the pieces of its body.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise::server::http {

struct Response {
  int status = 200;
  std::string_view content_type = "application/json";  // static
  // Beside Content-Type, Content-Length and Connection, which are made when it is written.
  std::vector<std::pair<std::string_view, std::string>> headers;
  std::vector<std::string> body;  // sent one after another

  std::size_t body_bytes() const {
    std::size_t bytes = 0;
    for (const std::string& piece : body) bytes += piece.size();
    return bytes;
  }
};

}  // namespace reprise::server::http
