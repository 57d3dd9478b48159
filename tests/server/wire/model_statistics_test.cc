#include "server/wire/model_statistics.h"

#include <chrono>

#include "gtest/gtest.h"

namespace reprise::server::wire {
namespace {

using std::chrono::nanoseconds;

TEST(ToModelStatisticsTest, SaysAllThatIsKnown) {
  VersionStatistics statistics;
  statistics.model = "demo";
  statistics.version = "3";
  statistics.last_inference = std::chrono::system_clock::time_point(std::chrono::seconds(5));
  statistics.inference_count = 9;
  statistics.execution_count = 2;
  statistics.success = {2, nanoseconds(100)};
  statistics.fail = {1, nanoseconds(7)};
  statistics.queue = {2, nanoseconds(10)};
  statistics.compute_input = {2, nanoseconds(11)};
  statistics.compute_infer = {2, nanoseconds(12)};
  statistics.compute_output = {2, nanoseconds(13)};
  statistics.cancelled = {1, nanoseconds(7)};
  statistics.batches = {{.rows = 1, .infer = {1, nanoseconds(4)}},
                        {.rows = 8, .input = {1, nanoseconds(2)}, .output = {1, nanoseconds(3)}}};
  statistics.memory_bytes = 4096;
  const inference::ModelStatistics message = ToModelStatistics(statistics);
  EXPECT_EQ(message.name(), "demo");
  EXPECT_EQ(message.version(), "3");
  EXPECT_EQ(message.last_inference(), 5000u);
  EXPECT_EQ(message.inference_count(), 9u);
  EXPECT_EQ(message.execution_count(), 2u);
  EXPECT_EQ(message.inference_stats().success().count(), 2u);
  EXPECT_EQ(message.inference_stats().success().ns(), 100u);
  EXPECT_EQ(message.inference_stats().fail().ns(), 7u);
  EXPECT_EQ(message.inference_stats().queue().ns(), 10u);
  EXPECT_EQ(message.inference_stats().compute_input().ns(), 11u);
  EXPECT_EQ(message.inference_stats().compute_infer().ns(), 12u);
  EXPECT_EQ(message.inference_stats().compute_output().ns(), 13u);
  ASSERT_EQ(message.batch_stats_size(), 2);
  EXPECT_EQ(message.batch_stats(0).batch_size(), 1u);
  EXPECT_EQ(message.batch_stats(0).compute_infer().ns(), 4u);
  EXPECT_EQ(message.batch_stats(1).compute_input().ns(), 2u);
  EXPECT_EQ(message.batch_stats(1).compute_output().count(), 1u);
  ASSERT_EQ(message.memory_usage_size(), 1);
  EXPECT_EQ(message.memory_usage(0).type(), "CPU");
  EXPECT_EQ(message.memory_usage(0).byte_size(), 4096u);
  const auto& response = message.response_stats().at("0");
  EXPECT_EQ(response.success().count(), 2u);
  EXPECT_EQ(response.cancel().count(), 1u);
  EXPECT_EQ(response.compute_infer().ns(), 12u);
}

TEST(ToModelStatisticsTest, HasEveryFieldEvenBeforeTheFirstRequest) {
  const inference::ModelStatistics message = ToModelStatistics({.model = "demo", .version = "1"});
  EXPECT_EQ(message.last_inference(), 0u);
  const inference::InferStatistics& requests = message.inference_stats();
  EXPECT_TRUE(requests.has_success() && requests.has_fail() && requests.has_queue());
  EXPECT_TRUE(requests.has_compute_input() && requests.has_compute_infer());
  EXPECT_TRUE(requests.has_compute_output());
  EXPECT_TRUE(requests.has_cache_hit() && requests.has_cache_miss());
}

}  // namespace
}  // namespace reprise::server::wire
