#include "server/grpc/model_report.h"

#include <memory>
#include <vector>

#include "engine/architectures/bert_parameters.h"
#include "engine/model.h"
#include "engine/weights/random_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::grpc {
namespace {

using engine::reuse::ReusePlan;
using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

// A small model with random weights, whose middle layer reuses every head.
ModelDescription SmallModel() {
  engine::architectures::BertConfig config;
  config.num_layers = 3;
  config.num_heads = 2;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.vocab_size = 50;
  config.max_position_embeddings = 200;
  config.type_vocab_size = 2;
  config.pooling = engine::architectures::Pooling::kMean;
  config.max_text_tokens = 200;
  config.plan = *ReusePlan::Proposed(3, 2, 2, 1);
  const engine::weights::RandomSource source(
      engine::architectures::BertParameters(config, {.pooler = false, .num_labels = 0}), 7);
  auto model = engine::Model::Create(config, source, {.precision = engine::Precision::kF32});
  EXPECT_THAT(model, IsOk());
  ModelDescription description;
  description.name = "demo";
  description.version = "3";
  description.versions = {"1", "3"};
  description.limits.max_sequence_tokens = 200;
  description.model = *std::move(model);
  return description;
}

TEST(DescribeModelTest, TellsShapeReuseAndSavings) {
  const ModelDescription description = SmallModel();
  const auto report = DescribeModel(description, std::vector<std::int64_t>{10});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->model(), "demo");
  EXPECT_EQ(report->version(), "3");
  EXPECT_THAT(report->versions(), ElementsAre("1", "3"));
  EXPECT_EQ(report->shape().hidden_size(), 32);
  EXPECT_EQ(report->shape().pooling(), "mean");
  EXPECT_EQ(report->shape().precision(), "fp32");
  EXPECT_EQ(report->shape().parameters(), description.model->parameter_count());
  EXPECT_EQ(report->limits().max_sequence_tokens(), 200);
  EXPECT_EQ(report->reuse().plan(), "2x1");
  EXPECT_EQ(report->reuse().strategy(), "auto");
  ASSERT_EQ(report->savings_size(), 1);
  EXPECT_EQ(report->savings(0).scores_reused(), 2 * 10 * 10);
  EXPECT_EQ(report->savings(0).parameter_bytes_saved(), 4 * 2 * (32 * 32 + 32));
}

TEST(DescribeModelTest, CountsScoresAsRecomputedWhenNoneAreStored) {
  ModelDescription description = SmallModel();
  description.strategy = "fused";
  const auto report = DescribeModel(description, std::vector<std::int64_t>{10});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->savings(0).scores_reused(), 0);
  EXPECT_EQ(report->savings(0).scores_recomputed(), 2 * 10 * 10);
}

TEST(DescribeModelTest, PredictsForUsualLengthsWithinTheLimit) {
  const auto report = DescribeModel(SmallModel(), {});
  ASSERT_THAT(report, IsOk());
  ASSERT_EQ(report->savings_size(), 2);
  EXPECT_EQ(report->savings(0).sequence_length(), 128);
  EXPECT_EQ(report->savings(1).sequence_length(), 200);
}

TEST(DescribeModelTest, RefusesLengthsThatNoRequestCanHave) {
  const ModelDescription description = SmallModel();
  EXPECT_THAT(DescribeModel(description, std::vector<std::int64_t>{0}),
              StatusIs(kInvalid, HasSubstr("found 0, expected 1 to 200")));
  EXPECT_THAT(DescribeModel(description, std::vector<std::int64_t>{201}),
              StatusIs(kInvalid, HasSubstr("found 201")));
  EXPECT_THAT(DescribeModel(description, std::vector<std::int64_t>(65, 1)),
              StatusIs(kInvalid, HasSubstr("found 65 sequence_lengths")));
}

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
