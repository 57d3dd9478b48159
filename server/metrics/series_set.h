// Series that come and go together, such as those of one model version.
#pragma once

#include <set>

#include "server/metrics/metrics_registry.h"

namespace reprise::server::metrics {

// Adds series to a registry and takes them away when destroyed. Not thread-safe; the series are.
// `registry` must outlive it. No two sets may hold the same series.
class SeriesSet {
 public:
  explicit SeriesSet(MetricsRegistry& registry) : registry_(registry) {}
  ~SeriesSet();
  SeriesSet(const SeriesSet&) = delete;
  SeriesSet& operator=(const SeriesSet&) = delete;

  // As those of MetricsRegistry.
  prometheus::Counter& Counter(const MetricDefinition& definition, const LabelValues& values);
  prometheus::Gauge& Gauge(const MetricDefinition& definition, const LabelValues& values);
  prometheus::Histogram& Histogram(const MetricDefinition& definition, const LabelValues& values);
  // Takes one gauge away early; its reference must not be used afterwards.
  void Remove(const MetricDefinition& definition, prometheus::Gauge* gauge);

 private:
  template <typename T>
  using Owned = std::set<std::pair<const MetricDefinition*, T*>>;

  MetricsRegistry& registry_;
  Owned<prometheus::Counter> counters_;
  Owned<prometheus::Gauge> gauges_;
  Owned<prometheus::Histogram> histograms_;
};

}  // namespace reprise::server::metrics
