#include "engine/device/cpu/cores.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace reprise::engine::device {
namespace {

std::vector<int> AllowedCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// "0-3,8,10-11" -> 0 1 2 3 8 10 11; what cannot be read is left out.
std::vector<int> ParseCoreList(const std::string& text) {
  std::vector<int> cores;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::vector<absl::string_view> ends = absl::StrSplit(part, '-');
    int first = 0, last = 0;
    if (!absl::SimpleAtoi(ends.front(), &first) || !absl::SimpleAtoi(ends.back(), &last)) continue;
    for (int core = first; core <= std::min(last, CPU_SETSIZE - 1); ++core) cores.push_back(core);
  }
  return cores;
}

}  // namespace

int UsableCores() {
  const auto cores = static_cast<int>(AllowedCores().size());
  return cores > 0 ? cores : std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

std::vector<int> CoresByNode(const std::string& sysfs) {
  std::vector<int> allowed = AllowedCores(), ordered;
  for (int node = 0; !allowed.empty(); ++node) {
    std::ifstream file(absl::StrCat(sysfs, "/node/node", node, "/cpulist"));
    std::string line;
    if (!std::getline(file, line)) break;
    for (const int core : ParseCoreList(line)) {
      const auto found = std::find(allowed.begin(), allowed.end(), core);
      if (found == allowed.end()) continue;
      ordered.push_back(core);
      allowed.erase(found);
    }
  }
  ordered.insert(ordered.end(), allowed.begin(), allowed.end());
  return ordered;
}

}  // namespace reprise::engine::device
