#include "server/commands/whole_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace reprise::server::commands {

namespace fs = std::filesystem;

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
  }
  return text;
}

absl::Status WriteWholeFile(const std::string& path, std::string_view text) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is no file that could be replaced; choose another --output"));
  }
  const std::string unfinished = path + ".unfinished";
  std::ofstream file(unfinished, std::ios::binary);
  file << text << '\n';
  file.close();
  if (file) fs::rename(unfinished, path, error);
  if (file && !error) return absl::OkStatus();
  fs::remove(unfinished, error);
  return absl::UnavailableError(absl::StrCat("cannot write '", path, "': is the folder there?"));
}

}  // namespace reprise::server::commands
