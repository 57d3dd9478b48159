// JSON from files that nobody vouches for: syntax, size, nesting and duplicate keys are checked.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::weights {

// `what` names the text in messages, for example its path. InvalidArgument for text that is not
// JSON, is nested deeper than 64 levels, or has the same key twice in one object (readers disagree
// on which of the two counts).
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, const std::string& what);

// ParseJson on a file of at most 16 MiB. NotFound if it does not exist.
absl::StatusOr<nlohmann::json> ReadJsonFile(const std::string& path);

// Writes `value` indented, UTF-8. The system's error if the file cannot be written. Not atomic: for
// files of a StagedDirectory.
absl::Status WriteJsonFile(const std::string& path, const nlohmann::json& value);

// `value` as it stands in the file, cut after 60 characters: for messages.
std::string JsonText(const nlohmann::json& value);

}  // namespace reprise::engine::weights
