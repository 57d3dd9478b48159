#include "server/metrics/host_metrics.h"

#include <map>
#include <string>

#include "gtest/gtest.h"

namespace reprise::server::metrics {
namespace {

TEST(ParseCpuTimesTest, AddsUpAllStatesButIdleOnes) {
  const auto times = ParseCpuTimes("cpu  10 20 30 400 50 6 7 8 99 99\ncpu0 1 2 3 4\n");
  ASSERT_TRUE(times.has_value());
  EXPECT_EQ(times->busy, 10 + 20 + 30 + 6 + 7 + 8);
  EXPECT_EQ(times->total, times->busy + 400 + 50) << "guest times are part of user's";
}

TEST(ParseCpuTimesTest, TakesNothingElse) {
  for (const char* text : {"", "cpu", "cpu0 1 2 3 4", "intr 1 2 3", "cpu a b c"}) {
    EXPECT_FALSE(ParseCpuTimes(text).has_value()) << text;
  }
}

TEST(ParseHostMemoryTest, UsedIsWhatIsNotAvailable) {
  const auto memory = ParseHostMemory(
      "MemTotal:        1000 kB\nMemFree:          10 kB\nMemAvailable:     400 kB\n");
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->total_bytes, 1024000);
  EXPECT_EQ(memory->used_bytes, 600 * 1024);
}

TEST(ParseHostMemoryTest, NeedsBothFigures) {
  EXPECT_FALSE(ParseHostMemory("MemTotal: 1000 kB\n").has_value());
  EXPECT_FALSE(ParseHostMemory("").has_value());
}

TEST(HostMetricsTest, TellsThisMachinesFigures) {
  const HostMetrics metrics;
  std::map<std::string, double> values;
  for (const auto& family : metrics.Collect()) {
    ASSERT_EQ(family.metric.size(), 1u);
    EXPECT_TRUE(family.metric[0].label.empty());
    values[family.name] = family.metric[0].gauge.value;
  }
  EXPECT_GE(values.at("nv_cpu_utilization"), 0);
  EXPECT_LE(values.at("nv_cpu_utilization"), 1);
  EXPECT_GT(values.at("nv_cpu_memory_total_bytes"), 0);
  EXPECT_GT(values.at("nv_cpu_memory_used_bytes"), 0);
  EXPECT_LE(values.at("nv_cpu_memory_used_bytes"), values.at("nv_cpu_memory_total_bytes"));
}

}  // namespace
}  // namespace reprise::server::metrics
