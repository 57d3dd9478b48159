// What is fixed about one metric before anything is measured.
#pragma once

#include <span>
#include <string_view>

namespace reprise::server::metrics {

enum class MetricType { kCounter, kGauge, kHistogram };

struct LabelDefinition {
  std::string_view name;
  std::span<const std::string_view> values;  // empty: an open set, such as model names
};

// A row of metrics.json. Views point at constants that live as long as the program.
struct MetricDefinition {
  std::string_view name;  // with prefix and unit suffix, as scraped
  MetricType type;
  std::string_view unit;
  std::string_view help;
  std::span<const LabelDefinition> labels;
  std::span<const double> buckets;  // upper edges, ascending; histograms only
};

}  // namespace reprise::server::metrics
