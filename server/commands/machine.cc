#include "server/commands/machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/device/cpu/cores.h"
#include "engine/device/cpu/isa.h"
#include "nlohmann/json.hpp"
#include "server/commands/quantity_text.h"
#include "server/config/build_info.h"

namespace reprise::server::commands {
namespace {

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<CacheLevel> Caches() {
  std::vector<CacheLevel> caches;
  for (int index = 0;; ++index) {
    const std::string folder = absl::StrCat("/sys/devices/system/cpu/cpu0/cache/index", index, "/");
    const std::string level = FirstLine(folder + "level");
    if (level.empty()) return caches;
    const std::string size = FirstLine(folder + "size");  // "1024K"
    caches.push_back({std::atoi(level.c_str()), FirstLine(folder + "type"),
                      std::int64_t{1024} * std::atoll(size.c_str())});
  }
}

std::string Kernel() {
  utsname names{};
  return uname(&names) == 0 ? absl::StrCat(names.sysname, " ", names.release) : "unknown";
}

}  // namespace

std::int64_t PeakResidentBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::int64_t{1024} * std::atoll(line.c_str() + 6);
  }
  return 0;
}

Machine DescribeMachine() {
  Machine machine;
  machine.cpu = CpuName();
  engine::device::ActiveCpuIsa();
  machine.isa = engine::device::DescribeCpuIsa();
  machine.cores = engine::device::UsableCores();
  machine.caches = Caches();
  machine.memory_bytes = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  machine.kernel = Kernel();
  machine.program =
      absl::StrCat("reprise ", config::BuildVersion(), " (", config::BuildCommit(), ")");
  return machine;
}

nlohmann::ordered_json ToJson(const Machine& machine) {
  nlohmann::ordered_json caches = nlohmann::ordered_json::array();
  for (const CacheLevel& cache : machine.caches) {
    caches.push_back({{"level", cache.level}, {"type", cache.type}, {"bytes", cache.bytes}});
  }
  return {{"cpu", machine.cpu},
          {"isa", machine.isa},
          {"cores", machine.cores},
          {"caches", caches},
          {"memory_bytes", machine.memory_bytes},
          {"kernel", machine.kernel},
          {"program", machine.program}};
}

std::string ToText(const Machine& machine) {
  std::string text = absl::StrCat(machine.cpu, ", ", machine.cores, " cores, ", machine.isa, "\n");
  for (const CacheLevel& cache : machine.caches) {
    if (cache.type == "Instruction") continue;
    absl::StrAppend(&text, "L", cache.level, " ", ByteText(cache.bytes), ", ");
  }
  absl::StrAppend(&text, ByteText(machine.memory_bytes), " memory, ", machine.kernel, ", ",
                  machine.program, "\n");
  return text;
}

}  // namespace reprise::server::commands
