#include "server/metrics/host_metrics.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>

#include "server/metrics/metric_catalogue.h"
#include "server/metrics/metric_family.h"

namespace reprise::server::metrics {
namespace {

std::string Read(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The share of time that the processors were busy between two readings, 0 to 1.
double Utilization(const CpuTimes& before, const CpuTimes& now) {
  const double total = now.total - before.total;
  return total <= 0 ? 0 : (now.busy - before.busy) / total;
}

prometheus::MetricFamily Single(const MetricDefinition& definition, double value) {
  prometheus::MetricFamily family = MakeFamily(definition);
  AddSeries(definition, {}, value, &family);
  return family;
}

}  // namespace

std::optional<CpuTimes> ParseCpuTimes(std::string_view proc_stat) {
  std::istringstream fields{std::string(proc_stat.substr(0, proc_stat.find('\n')))};
  std::string name;
  if (!(fields >> name) || name != "cpu") return std::nullopt;
  CpuTimes times;
  // user nice system idle iowait irq softirq steal; guest times after them are part of user's.
  constexpr int kIdle = 3;
  constexpr int kIoWait = 4;
  double ticks = 0;
  for (int field = 0; field < 8 && fields >> ticks; ++field) {
    times.total += ticks;
    if (field != kIdle && field != kIoWait) times.busy += ticks;
  }
  if (times.total == 0) return std::nullopt;
  return times;
}

std::optional<HostMemory> ParseHostMemory(std::string_view proc_meminfo) {
  std::istringstream lines{std::string(proc_meminfo)};
  std::optional<double> total;
  std::optional<double> available;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    double kibibytes = 0;
    if (!(fields >> name >> kibibytes)) continue;
    if (name == "MemTotal:") total = kibibytes * 1024;
    if (name == "MemAvailable:") available = kibibytes * 1024;
  }
  if (!total || !available) return std::nullopt;
  return HostMemory{.total_bytes = *total, .used_bytes = *total - *available};
}

HostMetrics::HostMetrics() : last_(ParseCpuTimes(Read("/proc/stat"))) {}

std::vector<prometheus::MetricFamily> HostMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  if (const auto now = ParseCpuTimes(Read("/proc/stat")); now.has_value()) {
    MutexLock lock(mutex_);
    const std::optional<CpuTimes> before = std::exchange(last_, now);
    if (before) {
      families.push_back(Single(catalogue::kNvCpuUtilization, Utilization(*before, *now)));
    }
  }
  if (const auto memory = ParseHostMemory(Read("/proc/meminfo")); memory.has_value()) {
    families.push_back(Single(catalogue::kNvCpuMemoryTotalBytes, memory->total_bytes));
    families.push_back(Single(catalogue::kNvCpuMemoryUsedBytes, memory->used_bytes));
  }
  return families;
}

}  // namespace reprise::server::metrics
