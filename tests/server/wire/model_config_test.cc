#include "server/wire/model_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::wire {
namespace {

using ::testing::ElementsAre;

ModelDescription Description() {
  ModelDescription description;
  description.name = "demo";
  description.version = "3";
  description.versions = {"1", "3"};
  description.inputs = {{"input_ids", DataType::kInt64, {-1, -1}, true},
                        {"text", DataType::kBytes, {-1, 1}, true}};
  description.outputs = {{"sentence_embedding", DataType::kFp32, {-1, 384}, false}};
  description.limits.max_batch_size = 8;
  description.limits.max_queue_requests = 16;
  description.limits.max_queue_delay_us = 250;
  description.limits.queue_timeout_us = 5000;
  description.limits.priority_levels = 3;
  description.limits.default_priority = 2;
  description.limits.max_batch_tokens = 4096;
  description.limits.executors = 2;
  return description;
}

TEST(ToModelMetadataTest, ShapesIncludeTheBatchDimension) {
  const auto metadata = ToModelMetadata(Description());
  EXPECT_EQ(metadata.name(), "demo");
  EXPECT_THAT(metadata.versions(), ElementsAre("1", "3"));
  EXPECT_EQ(metadata.inputs(1).name(), "text");
  EXPECT_EQ(metadata.inputs(1).datatype(), "BYTES");
  EXPECT_THAT(metadata.inputs(1).shape(), ElementsAre(-1, 1));
  EXPECT_THAT(metadata.outputs(0).shape(), ElementsAre(-1, 384));
}

TEST(ToModelConfigTest, DimsLeaveTheBatchDimensionOut) {
  const auto config = ToModelConfig(Description());
  EXPECT_EQ(config.max_batch_size(), 8);
  EXPECT_EQ(config.input(0).data_type(), inference::TYPE_INT64);
  EXPECT_THAT(config.input(0).dims(), ElementsAre(-1));
  EXPECT_TRUE(config.input(0).allow_ragged_batch());
  EXPECT_TRUE(config.input(0).optional());
  EXPECT_EQ(config.input(1).data_type(), inference::TYPE_STRING);
  EXPECT_THAT(config.input(1).dims(), ElementsAre(1));
  EXPECT_FALSE(config.input(1).allow_ragged_batch());
  EXPECT_THAT(config.output(0).dims(), ElementsAre(384));
}

TEST(ToModelConfigTest, SaysThatRequestsAreBatched) {
  const auto config = ToModelConfig(Description());
  ASSERT_TRUE(config.has_dynamic_batching());
  EXPECT_EQ(config.dynamic_batching().max_queue_delay_microseconds(), 250u);
  EXPECT_EQ(config.dynamic_batching().priority_levels(), 3u);
  EXPECT_EQ(config.dynamic_batching().default_priority_level(), 2u);
  const auto& policy = config.dynamic_batching().default_queue_policy();
  EXPECT_EQ(policy.max_queue_size(), 16u);
  EXPECT_EQ(policy.default_timeout_microseconds(), 5000u);
  ASSERT_EQ(config.instance_group_size(), 1);
  EXPECT_EQ(config.instance_group(0).count(), 2);
  EXPECT_EQ(config.instance_group(0).kind(), inference::ModelInstanceGroup::KIND_CPU);
  EXPECT_EQ(config.backend(), "reprise");
  EXPECT_TRUE(config.has_model_transaction_policy());
  EXPECT_TRUE(config.has_response_cache());
  EXPECT_THAT(config.version_policy().specific().versions(), ElementsAre(1, 3));
}

TEST(ToModelConfigTest, ListsOnlyLimitsThatExist) {
  const auto config = ToModelConfig(Description());
  EXPECT_EQ(config.parameters().at("reprise.max_batch_tokens").string_value(), "4096");
  EXPECT_EQ(config.parameters().at("reprise.max_queue_delay_us").string_value(), "250");
  EXPECT_FALSE(config.parameters().contains("reprise.max_queue_tokens"));
}

}  // namespace
}  // namespace reprise::server::wire
