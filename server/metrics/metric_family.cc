#include "server/metrics/metric_family.h"

#include <string>
#include <utility>

#include "engine/check.h"
#include "prometheus/client_metric.h"

namespace reprise::server::metrics {

prometheus::MetricFamily MakeFamily(const MetricDefinition& definition) {
  REPRISE_CHECK(definition.type != MetricType::kHistogram);
  prometheus::MetricFamily family;
  family.name = std::string(definition.name);
  family.help = std::string(definition.help);
  family.type = definition.type == MetricType::kCounter ? prometheus::MetricType::Counter
                                                        : prometheus::MetricType::Gauge;
  return family;
}

void AddSeries(const MetricDefinition& definition, std::initializer_list<std::string_view> labels,
               double value, prometheus::MetricFamily* family) {
  REPRISE_CHECK(labels.size() == definition.labels.size());
  prometheus::ClientMetric metric;
  const std::string_view* label = labels.begin();
  for (const LabelDefinition& each : definition.labels) {
    metric.label.push_back({std::string(each.name), std::string(*label++)});
  }
  if (definition.type == MetricType::kCounter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

}  // namespace reprise::server::metrics
