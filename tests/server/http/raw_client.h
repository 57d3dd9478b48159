// A socket that sends any bytes, and what a server sends back, taken apart by hand: nothing here
// depends on the library that the server reads and writes with.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace reprise::server::http::testing {

struct RawResponse {
  int status = 0;                              // 0: the connection ended before an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Not thread-safe.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }

  // False when the server takes no more.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void EndSending() { shutdown(socket_, SHUT_WR); }
  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  // The next answer. `with_body` is false for answers to HEAD.
  RawResponse Receive(bool with_body = true) {
    RawResponse response;
    std::size_t head_end = 0;
    while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReceiveMore()) return response;
    }
    std::string head = received_.substr(0, head_end + 2);
    received_.erase(0, head_end + 4);
    const std::size_t line_end = head.find("\r\n");
    response.status = std::atoi(head.c_str() + sizeof("HTTP/1.1"));
    for (std::size_t begin = line_end + 2; begin < head.size();) {
      const std::size_t end = head.find("\r\n", begin);
      const std::size_t colon = head.find(": ", begin);
      response.headers[absl::AsciiStrToLower(head.substr(begin, colon - begin))] =
          head.substr(colon + 2, end - colon - 2);
      begin = end + 2;
    }
    const auto length = response.headers.find("content-length");
    if (!with_body || length == response.headers.end()) return response;
    const std::size_t bytes = std::strtoul(length->second.c_str(), nullptr, 10);
    while (received_.size() < bytes) {
      if (!ReceiveMore()) return response;
    }
    response.body = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return response;
  }

  // Whether the server ends the connection, and has nothing more to say, within ten seconds.
  bool AwaitEnd() {
    while (ReceiveMore()) {
    }
    return ended_ && received_.empty();
  }

 private:
  // False at the end of the connection, or after ten seconds of silence.
  bool ReceiveMore() {
    pollfd ready = {.fd = socket_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, 10'000) <= 0) return false;
    char chunk[65536];
    const ssize_t count = recv(socket_, chunk, sizeof(chunk), 0);
    if (count <= 0) {
      ended_ = true;
      return false;
    }
    received_.append(chunk, static_cast<std::size_t>(count));
    return true;
  }

  int socket_;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

// "POST /v2/... HTTP/1.1" with a body and further headers ("Name: value\r\n" each).
inline std::string Post(std::string_view path, std::string_view body,
                        std::string_view headers = "") {
  return absl::StrCat("POST ", std::string(path),
                      " HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n",
                      std::string(headers), "\r\n", std::string(body));
}
inline std::string Get(std::string_view path, std::string_view headers = "") {
  return absl::StrCat("GET ", std::string(path), " HTTP/1.1\r\nHost: h\r\n", std::string(headers),
                      "\r\n");
}

}  // namespace reprise::server::http::testing
