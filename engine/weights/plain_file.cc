#include "engine/weights/plain_file.h"

#include <filesystem>
#include <string_view>
#include <system_error>

namespace reprise::engine::weights {

bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

bool FileExists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace reprise::engine::weights
