// Reads a whole file that is expected to be small.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace reprise::server::security {

// The bytes of a regular file of at most 1 MiB; links are followed. NotFound when there is none or
// it cannot be read, InvalidArgument when it is something else or larger. Messages name the path
// and never what is in the file.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace reprise::server::security
