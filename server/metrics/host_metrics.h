// The machine's processors and memory, read from /proc at each scrape.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/request/mutex.h"

namespace reprise::server::metrics {

// Time of all processors together since the machine started, in ticks.
struct CpuTimes {
  double busy = 0;
  double total = 0;
};

// What /proc/stat says; nothing when its first line is not that of all processors.
std::optional<CpuTimes> ParseCpuTimes(std::string_view proc_stat);

struct HostMemory {
  double total_bytes = 0;
  double used_bytes = 0;  // what is not available to programs without swapping
};

// What /proc/meminfo says; nothing without MemTotal and MemAvailable.
std::optional<HostMemory> ParseHostMemory(std::string_view proc_meminfo);

// The nv_cpu_* rows of the catalogue. Thread-safe. Utilization is that since the scrape before, for
// the first scrape since construction. What the kernel does not give is left out.
class HostMetrics final : public prometheus::Collectable {
 public:
  HostMetrics();
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  mutable Mutex mutex_;
  mutable std::optional<CpuTimes> last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace reprise::server::metrics
