// Metrics that are read at each scrape instead of being counted in the registry.
#pragma once

#include <initializer_list>
#include <string_view>

#include "prometheus/metric_family.h"
#include "server/metrics/metric_definition.h"

namespace reprise::server::metrics {

// The family of a counter or gauge of the catalogue, without series. A histogram is a bug.
prometheus::MetricFamily MakeFamily(const MetricDefinition& definition);
// Adds the series with these label values, in the definition's order.
void AddSeries(const MetricDefinition& definition, std::initializer_list<std::string_view> labels,
               double value, prometheus::MetricFamily* family);

}  // namespace reprise::server::metrics
