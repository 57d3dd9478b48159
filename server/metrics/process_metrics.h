// The process's own figures, read from /proc at each scrape.
#pragma once

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/gauge.h"
#include "prometheus/metric_family.h"

namespace reprise::server::metrics {

// The process_* rows of the catalogue. Thread-safe. A figure that
// the kernel does not give (no /proc mounted) is left out of the scrape.
class ProcessMetrics : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace reprise::server::metrics
