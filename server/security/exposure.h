// Whether an address to listen on can be reached from other machines.
#pragma once

#include <string>

namespace reprise::server::security {

// True when every address that `host` stands for is a loopback one. Names are looked up; one that
// cannot be found counts as reachable.
bool IsLoopback(const std::string& host);

}  // namespace reprise::server::security
