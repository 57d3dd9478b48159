#include "server/commands/text_lines.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace reprise::server::commands {

absl::StatusOr<std::vector<std::string>> ReadTextLines(const std::string& path) {
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, error)) {
    return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
  }
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace reprise::server::commands
