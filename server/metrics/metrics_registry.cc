#include "server/metrics/metrics_registry.h"

#include <utility>

#include "engine/check.h"
#include "server/metrics/metric_catalogue.h"

namespace reprise::server::metrics {
namespace {

prometheus::Labels MakeLabels(const MetricDefinition& definition, const LabelValues& values) {
  REPRISE_CHECK(values.size() == definition.labels.size());
  prometheus::Labels labels;
  for (std::size_t i = 0; i < values.size(); ++i) {
    labels.emplace(std::string(definition.labels[i].name), values[i]);
  }
  return labels;
}

template <typename Builder>
auto& BuildFamily(Builder builder, const MetricDefinition& definition,
                  prometheus::Registry& registry) {
  return builder.Name(std::string(definition.name))
      .Help(std::string(definition.help))
      .Register(registry);
}

template <typename Families>
auto& FamilyOf(const Families& families, const MetricDefinition& definition) {
  const auto found = families.find(definition.name);
  REPRISE_CHECK(found != families.end());
  return *found->second;
}

}  // namespace

MetricsRegistry::MetricsRegistry() : registry_(std::make_shared<prometheus::Registry>()) {
  for (const MetricDefinition* definition : catalogue::kCatalogue) {
    switch (definition->type) {
      case MetricType::kCounter:
        counters_.emplace(definition->name,
                          &BuildFamily(prometheus::BuildCounter(), *definition, *registry_));
        break;
      case MetricType::kGauge:
        gauges_.emplace(definition->name,
                        &BuildFamily(prometheus::BuildGauge(), *definition, *registry_));
        break;
      case MetricType::kHistogram:
        histograms_.emplace(definition->name,
                            &BuildFamily(prometheus::BuildHistogram(), *definition, *registry_));
        break;
    }
  }
}

prometheus::Counter& MetricsRegistry::Counter(const MetricDefinition& definition,
                                              const LabelValues& values) {
  return FamilyOf(counters_, definition).Add(MakeLabels(definition, values));
}

prometheus::Gauge& MetricsRegistry::Gauge(const MetricDefinition& definition,
                                          const LabelValues& values) {
  return FamilyOf(gauges_, definition).Add(MakeLabels(definition, values));
}

prometheus::Histogram& MetricsRegistry::Histogram(const MetricDefinition& definition,
                                                  const LabelValues& values) {
  const prometheus::Histogram::BucketBoundaries buckets(definition.buckets.begin(),
                                                        definition.buckets.end());
  return FamilyOf(histograms_, definition).Add(MakeLabels(definition, values), buckets);
}

void MetricsRegistry::Remove(const MetricDefinition& definition, prometheus::Counter* counter) {
  FamilyOf(counters_, definition).Remove(counter);
}

void MetricsRegistry::Remove(const MetricDefinition& definition, prometheus::Gauge* gauge) {
  FamilyOf(gauges_, definition).Remove(gauge);
}

void MetricsRegistry::Remove(const MetricDefinition& definition, prometheus::Histogram* histogram) {
  FamilyOf(histograms_, definition).Remove(histogram);
}

}  // namespace reprise::server::metrics
