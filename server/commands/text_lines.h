// Texts from files, one to a line.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace reprise::server::commands {

// The lines of a file that are not empty, without their ends (LF or CRLF). NotFound when it cannot
// be read.
absl::StatusOr<std::vector<std::string>> ReadTextLines(const std::string& path);

}  // namespace reprise::server::commands
