// Which program this is.
#pragma once

#include <string>

namespace reprise::server::config {

std::string BuildVersion();  // for example "0.1.0"
std::string BuildCommit();   // abbreviated source commit; "unknown" when built outside a checkout

}  // namespace reprise::server::config
