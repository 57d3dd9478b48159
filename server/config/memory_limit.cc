#include "server/config/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string_view>

namespace reprise::server::config {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

// kNone where there is no such file or it says "max".
std::int64_t ReadLimit(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t limit = 0;
  return file >> limit && limit > 0 ? limit : kNone;
}

// The least limit of a group and those it is in: each of them counts.
std::int64_t LimitOfGroup(const fs::path& mount, const std::string& group, const char* file) {
  std::int64_t least = ReadLimit(mount / file);
  fs::path folder = mount;
  for (const fs::path& part : fs::path(group).relative_path()) {
    folder /= part;
    least = std::min(least, ReadLimit(folder / file));
  }
  return least;
}

}  // namespace

std::int64_t MemoryLimit(const std::string& root) {
  std::int64_t least = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  const fs::path mount = root + "/sys/fs/cgroup";
  std::ifstream groups(root + "/proc/self/cgroup");
  // Lines are HIERARCHY:CONTROLLERS:GROUP; version 2 names no controllers.
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, LimitOfGroup(mount, group, "memory.max"));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      least = std::min(least, LimitOfGroup(mount / "memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace reprise::server::config
