#include "server/grpc/model_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc {
namespace {

using engine::reuse::ReusePlan;
using ::reprise::testing::IsOk;

TEST(ToReuseMapTest, WritesOneRowOfSourcesPerLayer) {
  const auto plan = ReusePlan::Proposed(/*num_layers=*/3, /*num_heads=*/2, /*reused_heads=*/1,
                                        /*reuse_layers=*/1);
  ASSERT_THAT(plan, IsOk());
  const v1::ReuseMap map = ToReuseMap(*plan);
  EXPECT_EQ(map.plan(), "1x1");
  ASSERT_EQ(map.layers_size(), 3);
  ASSERT_EQ(map.layers(1).heads_size(), 2);
  EXPECT_EQ(map.layers(1).heads(0).layer(), 1);
  EXPECT_EQ(map.layers(1).heads(0).head(), 0);
  EXPECT_EQ(map.layers(1).heads(1).layer(), 0);
  EXPECT_EQ(map.layers(1).heads(1).head(), 0);
  EXPECT_EQ(map.reused_heads(), 1);
  EXPECT_EQ(map.score_slots(), 1);
  ASSERT_EQ(map.groups_size(), 2);
  EXPECT_EQ(map.groups(0).first_layer(), 0);
  EXPECT_EQ(map.groups(0).last_layer(), 1);
}

TEST(ToReuseMapTest, ShowsALayerWithoutAttentionAsEmpty) {
  const auto plan = ReusePlan::Skip(/*num_layers=*/3, /*num_heads=*/2, /*reuse_layers=*/1);
  ASSERT_THAT(plan, IsOk());
  const v1::ReuseMap map = ToReuseMap(*plan);
  EXPECT_FALSE(map.layers(1).has_attention());
  EXPECT_TRUE(map.layers(1).heads().empty());
}

TEST(ToPredictedSavingsTest, AgreesWithTheCostModel) {
  engine::reuse::TransformerShape shape;
  shape.num_layers = 3;
  shape.num_heads = 2;
  shape.hidden_size = 8;
  shape.intermediate_size = 16;
  const auto plan = ReusePlan::Proposed(3, 2, 2, 1);
  ASSERT_THAT(plan, IsOk());
  const auto savings = engine::reuse::Predict(shape, *plan, {.source = 10});
  const v1::PredictedSavings message = ToPredictedSavings(savings, 10);
  EXPECT_EQ(message.sequence_length(), 10);
  EXPECT_EQ(message.scores_exact(), 3 * 2 * 100);
  EXPECT_EQ(message.scores_computed(), 2 * 2 * 100);
  EXPECT_EQ(message.scores_reused(), 2 * 100);
  // Query and key projections (2 d^2 n) and query x key (d n^2) of the one reuse layer.
  EXPECT_EQ(message.multiply_adds_exact() - message.multiply_adds(), 2 * 8 * 8 * 10 + 8 * 100);
  EXPECT_EQ(message.parameter_bytes_saved(), 4 * (2 * 8 * 8 + 2 * 8));
}

TEST(ToLimitsTest, LeavesOutWhatHasNoLimit) {
  ModelLimits limits;
  limits.max_batch_tokens = 4096;
  const v1::Limits message = ToLimits(limits);
  EXPECT_EQ(message.max_batch_tokens(), 4096);
  EXPECT_FALSE(message.has_max_queue_tokens());
}

}  // namespace
}  // namespace reprise::server::grpc
