#include "server/request/host_and_port.h"

#include "absl/strings/str_cat.h"

namespace reprise::server {

std::string HostAndPort(const std::string& host, int port) {
  const bool bare_ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  return bare_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

}  // namespace reprise::server
