// Writes files that are there whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace reprise::server::commands {

// A reader finds the whole file or the one before. InvalidArgument when `path` is something that is
// no file, Unavailable when it cannot be written.
absl::Status WriteWholeFile(const std::string& path, std::string_view text);

}  // namespace reprise::server::commands
