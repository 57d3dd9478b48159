#include "server/metrics/metric_catalogue.h"

#include <algorithm>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::metrics {
namespace {

using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::Not;
using ::testing::StartsWith;

// Named by Triton, whose dashboards know them; our rules for names do not hold for them.
bool IsTritons(const MetricDefinition& metric) { return metric.name.starts_with("nv_"); }

bool IsGaugeOrHistogram(const MetricDefinition& metric) {
  return metric.type != MetricType::kCounter;
}

TEST(MetricCatalogue, NamesAreUnique) {
  std::set<std::string> names;
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    EXPECT_TRUE(names.insert(std::string(metric->name)).second) << metric->name;
  }
}

TEST(MetricCatalogue, NamesCarryOurPrefixOrTheProcessOne) {
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    if (IsTritons(*metric)) continue;
    EXPECT_THAT(std::string(metric->name), AnyOf(StartsWith("reprise_"), StartsWith("process_")));
  }
}

TEST(MetricCatalogue, EveryMetricSaysWhatItCountsInWhichUnit) {
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    EXPECT_GT(metric->help.size(), 20u) << metric->name;
    EXPECT_THAT(std::string(metric->help), EndsWith(".")) << metric->name;
    EXPECT_FALSE(metric->unit.empty()) << metric->name;
  }
}

TEST(MetricCatalogue, CountersAndNothingElseEndInTotal) {
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    if (IsTritons(*metric)) continue;
    if (IsGaugeOrHistogram(*metric)) {
      EXPECT_THAT(std::string(metric->name), Not(EndsWith("_total")));
    } else {
      EXPECT_THAT(std::string(metric->name), EndsWith("_total"));
    }
  }
}

TEST(MetricCatalogue, SecondsAndBytesAreNamedAsUnits) {
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    if (IsTritons(*metric)) continue;
    std::string name(metric->name);
    if (name.ends_with("_total")) name.resize(name.size() - 6);
    if (metric->unit == "seconds") {
      EXPECT_THAT(name, EndsWith("_seconds"));
    } else if (metric->unit == "bytes") {
      EXPECT_THAT(name, EndsWith("_bytes"));
    } else {
      EXPECT_THAT(name, Not(AnyOf(EndsWith("_seconds"), EndsWith("_ms"), EndsWith("_us"))));
    }
  }
}

TEST(MetricCatalogue, HistogramsAndNothingElseHaveAscendingBuckets) {
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    EXPECT_EQ(metric->type == MetricType::kHistogram, !metric->buckets.empty()) << metric->name;
    EXPECT_TRUE(std::is_sorted(metric->buckets.begin(), metric->buckets.end())) << metric->name;
  }
}

TEST(MetricCatalogue, LatencyBucketsHave22EdgesFromHalfAMillisecondToTenSeconds) {
  const std::span<const double> edges = catalogue::kRequestDurationSeconds.buckets;
  ASSERT_EQ(edges.size(), 22u);
  EXPECT_EQ(edges.front(), 0.0005);
  EXPECT_EQ(edges.back(), 10);
  EXPECT_NE(std::find(edges.begin(), edges.end(), 0.13), edges.end());
}

TEST(MetricCatalogue, LabelsOfAMetricDifferInNameAndInValues) {
  for (const MetricDefinition* metric : catalogue::kCatalogue) {
    std::set<std::string_view> names;
    for (const LabelDefinition& label : metric->labels) {
      EXPECT_TRUE(names.insert(label.name).second) << metric->name << " " << label.name;
      const std::set<std::string_view> values(label.values.begin(), label.values.end());
      EXPECT_EQ(values.size(), label.values.size()) << metric->name << " " << label.name;
    }
  }
}

}  // namespace
}  // namespace reprise::server::metrics
