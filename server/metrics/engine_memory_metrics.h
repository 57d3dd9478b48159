// What the engine holds in memory, read at each scrape.
#pragma once

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace reprise::server::metrics {

// reprise_engine_memory_bytes of the catalogue. Thread-safe.
class EngineMemoryMetrics : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace reprise::server::metrics
