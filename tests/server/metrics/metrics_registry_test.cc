#include "server/metrics/metrics_registry.h"

#include "gtest/gtest.h"
#include "server/metrics/metric_catalogue.h"
#include "tests/server/metrics/scrape.h"

namespace reprise::server::metrics {
namespace {

TEST(MetricsRegistry, TheSameLabelsNameTheSameSeries) {
  MetricsRegistry registry;
  registry.Counter(catalogue::kTokensTotal, {"m", "1", "real"}).Increment(3);
  registry.Counter(catalogue::kTokensTotal, {"m", "1", "real"}).Increment(4);
  EXPECT_EQ(CounterValue(registry, "reprise_tokens_total", {{"model", "m"}, {"version", "1"}}), 7);
}

TEST(MetricsRegistry, HistogramsUseTheCataloguesBuckets) {
  MetricsRegistry registry;
  registry.Histogram(catalogue::kBatchRows, {"m", "1"}).Observe(3);
  const auto series = FindSeries(registry, "reprise_batch_rows");
  ASSERT_TRUE(series.has_value());
  // One more than the edges: +Inf.
  ASSERT_EQ(series->histogram.bucket.size(), catalogue::kBatchRows.buckets.size() + 1);
  EXPECT_EQ(series->histogram.bucket[1].cumulative_count, 0u);  // <= 2
  EXPECT_EQ(series->histogram.bucket[2].cumulative_count, 1u);  // <= 4
}

TEST(MetricsRegistry, ARemovedSeriesIsGoneFromTheScrape) {
  MetricsRegistry registry;
  prometheus::Gauge& gauge = registry.Gauge(catalogue::kModelReady, {"m", "1"});
  gauge.Set(1);
  registry.Remove(catalogue::kModelReady, &gauge);
  EXPECT_FALSE(FindSeries(registry, "reprise_model_ready").has_value());
}

TEST(MetricsRegistryDeathTest, AWrongNumberOfLabelValuesIsABug) {
  MetricsRegistry registry;
  EXPECT_DEATH(registry.Gauge(catalogue::kModelReady, {"m"}), "internal error");
}

TEST(MetricsRegistryDeathTest, AskingForAGaugeAsACounterIsABug) {
  MetricsRegistry registry;
  EXPECT_DEATH(registry.Counter(catalogue::kModelReady, {"m", "1"}), "internal error");
}

}  // namespace
}  // namespace reprise::server::metrics
