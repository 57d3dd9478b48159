// Says which file something was made of.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace reprise::server::commands {

// SHA-256 of a file's bytes in hex, as sha256sum prints it. NotFound when it cannot be read.
absl::StatusOr<std::string> Sha256OfFile(const std::string& path);

}  // namespace reprise::server::commands
