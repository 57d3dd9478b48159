// Reads single values out of a registry the way a scrape would show them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/metrics/metrics_registry.h"

namespace reprise::server::metrics {

using LabelPairs = std::vector<std::pair<std::string, std::string>>;

// The first series of `name` that has all of `labels`.
inline std::optional<prometheus::ClientMetric> FindSeries(const MetricsRegistry& registry,
                                                          const std::string& name,
                                                          const LabelPairs& labels = {}) {
  for (const prometheus::MetricFamily& family : registry.collectable()->Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::size_t matching = 0;
      for (const auto& [key, value] : labels) {
        for (const prometheus::ClientMetric::Label& label : metric.label) {
          if (label.name == key && label.value == value) ++matching;
        }
      }
      if (matching == labels.size()) return metric;
    }
  }
  return std::nullopt;
}

// -1 when there is no such series; no metric of the tests is negative one.
inline double CounterValue(const MetricsRegistry& registry, const std::string& name,
                           const LabelPairs& labels = {}) {
  const auto metric = FindSeries(registry, name, labels);
  return metric.has_value() ? metric->counter.value : -1;
}

inline double GaugeValue(const MetricsRegistry& registry, const std::string& name,
                         const LabelPairs& labels = {}) {
  const auto metric = FindSeries(registry, name, labels);
  return metric.has_value() ? metric->gauge.value : -1;
}

struct HistogramValue {
  double count = -1;
  double sum = -1;
};

inline HistogramValue HistogramOf(const MetricsRegistry& registry, const std::string& name,
                                  const LabelPairs& labels = {}) {
  const auto metric = FindSeries(registry, name, labels);
  if (!metric.has_value()) return {};
  return {static_cast<double>(metric->histogram.sample_count), metric->histogram.sample_sum};
}

}  // namespace reprise::server::metrics
