#include "server/metrics/engine_memory_metrics.h"

#include "engine/memory/memory_account.h"
#include "server/metrics/metric_catalogue.h"
#include "server/metrics/metric_family.h"

namespace reprise::server::metrics {

std::vector<prometheus::MetricFamily> EngineMemoryMetrics::Collect() const {
  using engine::memory::MemoryAccount;
  using engine::memory::Purpose;
  prometheus::MetricFamily family = MakeFamily(catalogue::kEngineMemoryBytes);
  const auto add = [&](const char* of, const MemoryAccount& account) {
    for (int i = 0; i < engine::memory::kNumPurposes; ++i) {
      const auto purpose = static_cast<Purpose>(i);
      AddSeries(catalogue::kEngineMemoryBytes, {of, Name(purpose)},
                static_cast<double>(account.bytes(purpose)), &family);
    }
  };
  add("host", MemoryAccount::Process());
  add("gpus", MemoryAccount::Devices());
  return {family};
}

}  // namespace reprise::server::metrics
