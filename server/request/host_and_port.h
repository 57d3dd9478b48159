// Writes a host and a port as the one address that sockets are asked for.
#pragma once

#include <string>

namespace reprise::server {

// "127.0.0.1:8001"; an IPv6 address gets brackets unless it has them: "[::1]:8001".
std::string HostAndPort(const std::string& host, int port);

}  // namespace reprise::server
