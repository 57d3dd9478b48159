// Reads whole files, and writes files that are there whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reprise::server::commands {

// All bytes of a file. NotFound when it cannot be read.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// A reader finds the whole file or the one before. InvalidArgument when `path` is something that is
// no file, Unavailable when it cannot be written.
absl::Status WriteWholeFile(const std::string& path, std::string_view text);

}  // namespace reprise::server::commands
