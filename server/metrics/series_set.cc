#include "server/metrics/series_set.h"

namespace reprise::server::metrics {

SeriesSet::~SeriesSet() {
  for (const auto& [definition, counter] : counters_) registry_.Remove(*definition, counter);
  for (const auto& [definition, gauge] : gauges_) registry_.Remove(*definition, gauge);
  for (const auto& [definition, histogram] : histograms_) registry_.Remove(*definition, histogram);
}

prometheus::Counter& SeriesSet::Counter(const MetricDefinition& definition,
                                        const LabelValues& values) {
  prometheus::Counter& counter = registry_.Counter(definition, values);
  counters_.emplace(&definition, &counter);
  return counter;
}

prometheus::Gauge& SeriesSet::Gauge(const MetricDefinition& definition, const LabelValues& values) {
  prometheus::Gauge& gauge = registry_.Gauge(definition, values);
  gauges_.emplace(&definition, &gauge);
  return gauge;
}

prometheus::Histogram& SeriesSet::Histogram(const MetricDefinition& definition,
                                            const LabelValues& values) {
  prometheus::Histogram& histogram = registry_.Histogram(definition, values);
  histograms_.emplace(&definition, &histogram);
  return histogram;
}

void SeriesSet::Remove(const MetricDefinition& definition, prometheus::Gauge* gauge) {
  if (gauges_.erase({&definition, gauge}) > 0) registry_.Remove(definition, gauge);
}

}  // namespace reprise::server::metrics
