#include "server/metrics/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include "server/metrics/metric_catalogue.h"
#include "server/metrics/metric_family.h"

namespace reprise::server::metrics {
namespace {

// Fields of /proc/self/stat by their numbers in proc(5).
struct ProcessStat {
  double cpu_ticks = 0;    // 14 utime + 15 stime
  double start_ticks = 0;  // 22 starttime, since boot
  double virtual_bytes = 0;
  double resident_pages = 0;
};

std::optional<ProcessStat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // Field 2 is the program's name in parentheses and may hold blanks and parentheses itself.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  ProcessStat stat;
  std::string field;
  for (int number = 3; number <= 24; ++number) {
    if (!(fields >> field)) return std::nullopt;
    if (number == 14 || number == 15) stat.cpu_ticks += std::strtod(field.c_str(), nullptr);
    if (number == 22) stat.start_ticks = std::strtod(field.c_str(), nullptr);
    if (number == 23) stat.virtual_bytes = std::strtod(field.c_str(), nullptr);
    if (number == 24) stat.resident_pages = std::strtod(field.c_str(), nullptr);
  }
  return stat;
}

std::optional<double> BootTimeSeconds() {
  std::ifstream file("/proc/stat");
  std::string line;
  while (std::getline(file, line)) {
    double seconds = 0;
    if (std::sscanf(line.c_str(), "btime %lf", &seconds) == 1) return seconds;
  }
  return std::nullopt;
}

std::optional<double> OpenFileDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  int entries = 0;
  while (readdir(directory) != nullptr) ++entries;
  closedir(directory);
  return entries - 3;  // ".", ".." and the descriptor of this listing
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&families](const MetricDefinition& definition, std::optional<double> value) {
    if (!value.has_value()) return;
    AddSeries(definition, {}, *value, &families.emplace_back(MakeFamily(definition)));
  };
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (const std::optional<ProcessStat> stat = ReadStat(); stat.has_value()) {
    add(catalogue::kProcessCpuSecondsTotal, stat->cpu_ticks / ticks_per_second);
    add(catalogue::kProcessVirtualMemoryBytes, stat->virtual_bytes);
    add(catalogue::kProcessResidentMemoryBytes,
        stat->resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
    if (const std::optional<double> boot = BootTimeSeconds(); boot.has_value()) {
      add(catalogue::kProcessStartTimeSeconds, *boot + stat->start_ticks / ticks_per_second);
    }
  }
  add(catalogue::kProcessOpenFds, OpenFileDescriptors());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    add(catalogue::kProcessMaxFds, static_cast<double>(limit.rlim_cur));
  }
  return families;
}

}  // namespace reprise::server::metrics
