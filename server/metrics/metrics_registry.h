// The catalogue's metrics as prometheus-cpp families.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/metrics/metric_definition.h"

namespace reprise::server::metrics {

// Values for a definition's labels, in its order.
using LabelValues = std::vector<std::string>;

// Owns one family per catalogue row; all exist from the start, series appear as they are added.
// Thread-safe. The references it hands out live until they are removed. Asking for a definition by
// the wrong type, or with a number of label values that is not its own, is a bug.
class MetricsRegistry {
 public:
  MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // The series with these label values; the same one each time.
  prometheus::Counter& Counter(const MetricDefinition& definition, const LabelValues& values = {});
  prometheus::Gauge& Gauge(const MetricDefinition& definition, const LabelValues& values = {});
  prometheus::Histogram& Histogram(const MetricDefinition& definition,
                                   const LabelValues& values = {});
  // Takes a series away; its reference must not be used afterwards.
  void Remove(const MetricDefinition& definition, prometheus::Counter* counter);
  void Remove(const MetricDefinition& definition, prometheus::Gauge* gauge);
  void Remove(const MetricDefinition& definition, prometheus::Histogram* histogram);

  // What a scrape shows.
  std::shared_ptr<prometheus::Collectable> collectable() const { return registry_; }

 private:
  template <typename T>
  using Families = std::map<std::string_view, prometheus::Family<T>*>;

  std::shared_ptr<prometheus::Registry> registry_;
  Families<prometheus::Counter> counters_;  // constant after construction
  Families<prometheus::Gauge> gauges_;
  Families<prometheus::Histogram> histograms_;
};

}  // namespace reprise::server::metrics
