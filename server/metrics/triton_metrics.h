// Triton's metrics of models, by its names and labels, for dashboards that exist.
#pragma once

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/request/model_statistics.h"

namespace reprise::server::metrics {

// The nv_inference_* and nv_model_* rows of the catalogue, read from the statistics at each scrape,
// so that the two can never disagree. Thread-safe.
class TritonMetrics final : public prometheus::Collectable {
 public:
  explicit TritonMetrics(const StatisticsSource& source) : source_(source) {}  // outlives this

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const StatisticsSource& source_;
};

}  // namespace reprise::server::metrics
