// The formulas against the ratios of the paper's Tables 1 to 4 and against counting by hand.
#include "engine/reuse/cost_model.h"

#include <climits>
#include <cstdint>
#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

TransformerShape Bert(int layers, int heads, int width) {
  return {.num_layers = layers,
          .num_heads = heads,
          .hidden_size = width,
          .intermediate_size = 4 * width,
          .vocab_size = 30522,
          .max_position_embeddings = 512,
          .type_vocab_size = 2,
          .pooler = true};
}

TransformerShape T5(int layers, int heads, int width) {
  return {.num_layers = layers,
          .num_heads = heads,
          .hidden_size = width,
          .intermediate_size = 4 * width,
          .has_decoder = true,
          .attention_bias = false,
          .feed_forward_bias = false,
          .norm = TransformerShape::Norm::kRms,
          .final_norm = true,
          .vocab_size = 32128,
          .embedding_norm = false,
          .relative_buckets = 32};
}

// ViT-B/16 on 384 x 384 pixels: 576 patches of 16 x 16 x 3 values and a class token.
TransformerShape Vit(int layers) {
  return {.num_layers = layers,
          .num_heads = 12,
          .hidden_size = 768,
          .intermediate_size = 3072,
          .final_norm = true,
          .max_position_embeddings = 577,
          .embedding_norm = false,
          .patch_size = 768,
          .num_labels = 1000};
}

// The base model of Tensor2Tensor with one shared vocabulary and sinusoidal positions.
TransformerShape Translation() {
  return {.num_layers = 6,
          .num_heads = 8,
          .hidden_size = 512,
          .intermediate_size = 2048,
          .has_decoder = true,
          .attention_bias = false,
          .final_norm = true,
          .vocab_size = 32768,
          .embedding_norm = false};
}

constexpr SequenceLengths kBert{512};
constexpr SequenceLengths kT5{512, 114};
constexpr SequenceLengths kVit{577};
constexpr SequenceLengths kTranslation{256, 256};

ReusePlan Proposed(const TransformerShape& shape, int heads, int layers) {
  auto plan = ReusePlan::Proposed(shape.num_layers, shape.num_heads, heads, layers);
  EXPECT_OK(plan);
  return *plan;
}

ReusePlan Exact(const TransformerShape& shape) {
  return *ReusePlan::Exact(shape.num_layers, shape.num_heads);
}

// Baselines as the paper's models have them: ---------------------------------------------------

struct Baseline {
  std::string name;
  TransformerShape shape;
  SequenceLengths lengths;
  double million_parameters;
  double parameter_digit;  // half of the last digit given
  double giga_multiply_adds;
};
std::ostream& operator<<(std::ostream& out, const Baseline& row) { return out << row.name; }

class BaselineTest : public ::testing::TestWithParam<Baseline> {};

TEST_P(BaselineTest, HasTheKnownParametersAndMultiplyAdds) {
  const Baseline& row = GetParam();
  const ReusePlan exact = Exact(row.shape);
  ASSERT_OK(CheckCostInput(row.shape, exact, row.lengths));
  EXPECT_NEAR(ParameterCount(row.shape, exact) / 1e6, row.million_parameters, row.parameter_digit);
  EXPECT_NEAR(ModelMultiplyAdds(row.shape, exact, row.lengths).total() / 1e9,
              row.giga_multiply_adds, 0.05);
}

INSTANTIATE_TEST_SUITE_P(
    Paper, BaselineTest,
    ::testing::Values(Baseline{"BertBase", Bert(12, 12, 768), kBert, 109.48, 0.005, 48.3},
                      Baseline{"BertLarge", Bert(24, 16, 1024), kBert, 335.14, 0.005, 167.5},
                      Baseline{"T5Base", T5(12, 12, 768), kT5, 222.90, 0.005, 68.2},
                      Baseline{"T5Large", T5(24, 16, 1024), kT5, 737.67, 0.005, 236.9},
                      Baseline{"VitB16", Vit(12), kVit, 86.86, 0.005, 55.5},
                      Baseline{"Translation", Translation(), kTranslation, 60.9, 0.05, 12.5}),
    [](const auto& info) { return info.param.name; });

TEST(ParameterCountTest, EqualsThePublishedModelsToTheLastParameter) {
  EXPECT_EQ(ParameterCount(Bert(12, 12, 768), Exact(Bert(12, 12, 768))), 109482240);
  EXPECT_EQ(ParameterCount(Bert(24, 16, 1024), Exact(Bert(24, 16, 1024))), 335141888);
  EXPECT_EQ(ParameterCount(T5(12, 12, 768), Exact(T5(12, 12, 768))), 222903552);
  EXPECT_EQ(ParameterCount(T5(24, 16, 1024), Exact(T5(24, 16, 1024))), 737668096);
}

TEST(ParameterCountTest, TranslationModelWithoutItsEmbedding) {
  const std::int64_t embedding = 32768 * 512;
  EXPECT_NEAR((ParameterCount(Translation(), Exact(Translation())) - embedding) / 1e6, 44.1, 0.05);
}

// Ratios of Tables 1 to 4, recomputed to four digits. Where the paper's own cell cannot come from
// its configuration, the recomputed value is still the one to keep. ------------------------------

struct Ratio {
  std::string name;
  TransformerShape shape;
  int heads, layers;
  TransformerShape baseline;
  SequenceLengths lengths;
  double parameters, multiply_adds;
};
std::ostream& operator<<(std::ostream& out, const Ratio& row) { return out << row.name; }

class RatioTest : public ::testing::TestWithParam<Ratio> {};

TEST_P(RatioTest, IsReproducedToFourDigits) {
  const Ratio& row = GetParam();
  const ReusePlan plan = Proposed(row.shape, row.heads, row.layers);
  const ReusePlan exact = Exact(row.baseline);
  const auto ratio = [](std::int64_t a, std::int64_t b) { return static_cast<double>(a) / b; };
  EXPECT_NEAR(ratio(ParameterCount(row.shape, plan), ParameterCount(row.baseline, exact)),
              row.parameters, 5e-5);
  EXPECT_NEAR(ratio(ModelMultiplyAdds(row.shape, plan, row.lengths).total(),
                    ModelMultiplyAdds(row.baseline, exact, row.lengths).total()),
              row.multiply_adds, 5e-5);
}

const TransformerShape kBertBase = Bert(12, 12, 768);
const TransformerShape kBertLarge = Bert(24, 16, 1024);
const TransformerShape kT5Base = T5(12, 12, 768);
const TransformerShape kT5Large = T5(24, 16, 1024);

INSTANTIATE_TEST_SUITE_P(
    Paper, RatioTest,
    ::testing::Values(
        Ratio{"BertBase_6x10", kBertBase, 6, 10, kBertBase, kBert, 0.9461, 0.9167},
        Ratio{"BertBase_12x6", kBertBase, 12, 6, kBertBase, kBert, 0.9353, 0.9000},
        Ratio{"BertBase13L_12x6", Bert(13, 12, 768), 12, 6, kBertBase, kBert, 1.0000, 0.9833},
        Ratio{"BertLarge_8x22", kBertLarge, 8, 22, kBertLarge, kBert, 0.9311, 0.9119},
        Ratio{"BertLarge_16x12", kBertLarge, 16, 12, kBertLarge, kBert, 0.9248, 0.9038},
        Ratio{"BertLarge26L_16x12", Bert(26, 16, 1024), 16, 12, kBertLarge, kBert, 1.0000, 0.9872},
        Ratio{"T5Base_6x10", kT5Base, 6, 10, kT5Base, kT5, 0.9206, 0.9000},
        Ratio{"T5Base_12x6", kT5Base, 12, 6, kT5Base, kT5, 0.9047, 0.8800},
        Ratio{"T5Base13L_12x6", T5(13, 12, 768), 12, 6, kT5Base, kT5, 0.9788, 0.9633},
        Ratio{"T5Large_16x12", kT5Large, 16, 12, kT5Large, kT5, 0.8977, 0.8830},
        Ratio{"T5Large26L_16x12", T5(26, 16, 1024), 16, 12, kT5Large, kT5, 0.9773, 0.9663},
        Ratio{"Vit_6x10", Vit(12), 6, 10, Vit(12), kVit, 0.9320, 0.9156},
        Ratio{"Vit_12x6", Vit(12), 12, 6, Vit(12), kVit, 0.9184, 0.8987},
        Ratio{"Vit13L_6x10", Vit(13), 6, 10, Vit(12), kVit, 1.0136, 0.9984},
        Ratio{"Vit13L_6x11", Vit(13), 6, 11, Vit(12), kVit, 1.0068, 0.9900}),
    [](const auto& info) { return info.param.name; });

struct TranslationRatio {
  int heads;
  double parameters, without_embedding, multiply_adds;
};

TEST(TranslationRatioTest, SavingsGrowInProportionToTheReusedHeads) {
  const TransformerShape shape = Translation();
  const double embedding = 32768 * 512;
  for (const TranslationRatio& row :
       {TranslationRatio{2, 0.974, 0.964, 0.9597}, TranslationRatio{4, 0.948, 0.929, 0.9194}}) {
    const PlanSavings savings = Predict(shape, Proposed(shape, row.heads, 4), kTranslation);
    EXPECT_NEAR(savings.parameters_ratio(), row.parameters, 5e-4);
    EXPECT_NEAR((savings.parameters - embedding) / (savings.exact_parameters - embedding),
                row.without_embedding, 5e-4);
    EXPECT_NEAR(savings.multiply_adds_ratio(), row.multiply_adds, 5e-5);
  }
}

TEST(LongRangeTextTest, MatchesTheRecomputedMultiplyAddRatios) {
  const TransformerShape shape = {
      .num_layers = 4, .num_heads = 4, .hidden_size = 256, .intermediate_size = 1024};
  const double two_layers[] = {0.851, 0.822, 0.806, 0.796};
  const double three_layers[] = {0.776, 0.734, 0.710, 0.694};
  for (int thousands = 1; thousands <= 4; ++thousands) {
    const SequenceLengths lengths{1000 * thousands};
    EXPECT_NEAR(Predict(shape, Proposed(shape, 4, 2), lengths).multiply_adds_ratio(),
                two_layers[thousands - 1], 1e-3);
    EXPECT_NEAR(Predict(shape, Proposed(shape, 4, 3), lengths).multiply_adds_ratio(),
                three_layers[thousands - 1], 1e-3);
  }
}

// The formulas, term by term: --------------------------------------------------------------------

TEST(EncoderLayerTest, SplitsMultiplyAddsByPurpose) {
  // d = 8, head_dim = 2, intermediate 32, n = 3; one of four heads computed: c = 2.
  const TransformerShape shape = {
      .num_layers = 1, .num_heads = 4, .hidden_size = 8, .intermediate_size = 32};
  const MultiplyAdds layer = EncoderLayerMultiplyAdds(shape, 1, 3);
  EXPECT_EQ(layer.input_projection, 2 * 8 * 2 * 3 + 8 * 8 * 3);
  EXPECT_EQ(layer.scores, 2 * 3 * 3);
  EXPECT_EQ(layer.context, 8 * 3 * 3);
  EXPECT_EQ(layer.output_projection, 8 * 8 * 3);
  EXPECT_EQ(layer.feed_forward, 2 * 8 * 32 * 3);
  EXPECT_EQ(layer.patch_embedding, 0);
  EXPECT_EQ(layer.total(), 96 + 192 + 18 + 72 + 192 + 1536);
}

TEST(EncoderLayerTest, WithoutAttentionOnlyTheFeedForwardSublayerIsLeft) {
  const MultiplyAdds layer = LayerMultiplyAddsWithoutAttention(kBertBase, 10);
  EXPECT_EQ(layer.total(), layer.feed_forward);
  EXPECT_EQ(layer.feed_forward, 2 * 768 * 3072 * 10);
}

TEST(EncoderLayerTest, ReuseLayersCostThePapersShareOfAttention) {
  // (1 - K/2H) of an exact layer's attention, feed-forward left out.
  for (int reused = 0; reused <= 12; ++reused) {
    const auto attention = [](int computed) {
      const MultiplyAdds layer = EncoderLayerMultiplyAdds(kBertBase, computed, 512);
      return static_cast<double>(layer.total() - layer.feed_forward);
    };
    EXPECT_NEAR(attention(12 - reused) / attention(12), 1 - reused / 24.0, 1e-12);
  }
}

TEST(EncoderLayerTest, LayersAddUpToTheModel) {
  const auto plan = ReusePlan::FromTable({{{0, 0}, {0, 1}}, {}, {{0, 0}, {2, 1}}, {{0, 1}, {2, 1}}},
                                         {true, false, true, true});
  const TransformerShape shape = {
      .num_layers = 4, .num_heads = 2, .hidden_size = 8, .intermediate_size = 16};
  MultiplyAdds sum = LayerMultiplyAddsWithoutAttention(shape, 7);
  for (int layer : {0, 2, 3}) {
    sum += EncoderLayerMultiplyAdds(shape, static_cast<int>(plan->computed_heads(layer).size()), 7);
  }
  EXPECT_EQ(ModelMultiplyAdds(shape, *plan, {7}), sum);
}

TEST(EncoderLayerTest, HeadsMayBeNarrowerThanTheModel) {
  TransformerShape shape = {.num_layers = 1,
                            .num_heads = 4,
                            .hidden_size = 32,
                            .intermediate_size = 32,
                            .head_dim = 4,
                            .embedding_norm = false};
  EXPECT_EQ(EncoderLayerMultiplyAdds(shape, 4, 5).output_projection, 32 * 16 * 5);
  EXPECT_EQ(ScoreMultiplyAddsPerHead(shape, 5), 4 * 25);
  EXPECT_EQ(ParameterCount(shape, Exact(shape)),
            4 * 32 * 16 + 3 * 16 + 32 + 2 * 32 * 32 + 32 + 32 + 2 * 64);
}

TEST(EncoderLayerTest, ShareSavedFollowsFromTheShareOfReusedHeads) {
  // f (2d + n) / (12d + 2n) for a fraction f of all heads, here half of them.
  const TransformerShape shape = {
      .num_layers = 6, .num_heads = 12, .hidden_size = 384, .intermediate_size = 1536};
  const ReusePlan plan = *ReusePlan::Alternate(6, 12, 3);
  for (double n : {24.0, 256.0}) {
    const double expected = 0.5 * (2 * 384 + n) / (12 * 384 + 2 * n);
    EXPECT_NEAR(1 - Predict(shape, plan, {static_cast<std::int64_t>(n)}).multiply_adds_ratio(),
                expected, 1e-12);
  }
}

TEST(ParameterCountTest, EachReusedHeadDropsItsQueryAndKeyWithBiases) {
  const TransformerShape shape = kBertBase;
  const PlanSavings savings = Predict(shape, Proposed(shape, 6, 10), kBert);
  EXPECT_EQ(savings.exact_parameters - savings.parameters, 60 * 64 * 2 * (768 + 1));
}

TEST(ParameterCountTest, RelativePositionTablesHaveRowsForComputedHeadsOnly) {
  TransformerShape shape = kBertBase;
  const ReusePlan plan = Proposed(shape, 6, 10);
  const std::int64_t without = ParameterCount(shape, plan);
  shape.relative_position_max = 512;
  EXPECT_EQ(ParameterCount(shape, plan) - without, 84 * 1023);
}

TEST(ParameterCountTest, SkippedLayersLoseAttentionAndItsNorm) {
  const TransformerShape shape = kBertBase;
  const ReusePlan plan = *ReusePlan::Skip(12, 12, 6);
  EXPECT_EQ(ParameterCount(shape, Exact(shape)) - ParameterCount(shape, plan),
            6 * (4 * 768 * 768 + 4 * 768 + 2 * 768));
}

// Predictions:
// -------------------------------------------------------------------------------------

TEST(PredictTest, ScoresAddUpToTheExactRun) {
  const TransformerShape shape = kBertBase;
  const std::int64_t all = 144 * 100 * 100;
  const auto scores = [&](const ReusePlan& plan, bool stored) {
    return Predict(shape, plan, {100}, {.scores_stored = stored}).scores;
  };
  EXPECT_EQ(scores(Exact(shape), true), (ScoreEntries{.computed = all}));
  EXPECT_EQ(scores(Proposed(shape, 12, 6), true),
            (ScoreEntries{.computed = all / 2, .reused = all / 2}));
  EXPECT_EQ(scores(Proposed(shape, 12, 6), false),
            (ScoreEntries{.computed = all / 2, .recomputed = all / 2}));
  EXPECT_EQ(scores(*ReusePlan::Skip(12, 12, 6), true),
            (ScoreEntries{.computed = all / 2, .absent = all / 2}));
  EXPECT_EQ(scores(*ReusePlan::Skip(12, 12, 6), true).total(), all);
}

TEST(PredictTest, CrossAttentionScoresAreCounted) {
  const TransformerShape shape = Translation();
  const PlanSavings savings = Predict(shape, Exact(shape), {10, 3});
  EXPECT_EQ(savings.scores.total(), 6 * 8 * (10 * 10 + 3 * 3 + 3 * 10));
}

TEST(PredictTest, RebuiltScoresSaveProjectionsOnly) {
  const TransformerShape shape = kBertBase;
  const PlanSavings savings =
      Predict(shape, Proposed(shape, 12, 6), kBert, {.scores_stored = false});
  EXPECT_EQ(savings.multiply_adds.scores, savings.exact_multiply_adds.scores);
  EXPECT_EQ(savings.exact_multiply_adds.total() - savings.multiply_adds.total(),
            6 * std::int64_t{2 * 768 * 768} * 512);
  EXPECT_EQ(savings.score_bytes, 0);
  EXPECT_EQ(savings.memory_saved.scores, 0);
}

TEST(PredictTest, TheExactPlanSavesNothing) {
  const PlanSavings savings = Predict(kBertBase, Exact(kBertBase), kBert);
  EXPECT_EQ(savings.parameters_ratio(), 1.0);
  EXPECT_EQ(savings.multiply_adds_ratio(), 1.0);
  EXPECT_EQ(savings.memory_saved.parameters, 0);
  EXPECT_EQ(savings.memory_saved.activations, 0);
  EXPECT_EQ(savings.memory_saved.scores, 0);
  EXPECT_EQ(savings.key_cache_bytes_per_token, savings.exact_key_cache_bytes_per_token);
}

TEST(PredictTest, MemoryIsCountedByKindAndStorage) {
  const TransformerShape shape = kBertBase;
  const PlanSavings savings = Predict(shape, Proposed(shape, 12, 6), kBert,
                                      {.weight_bytes = 2, .activation_bytes = 2, .score_bytes = 2});
  EXPECT_EQ(savings.memory_saved.parameters, 6 * 2 * (768 * 768 * 2 + 768 * 4));
  EXPECT_EQ(savings.memory_saved.activations, 6 * 2 * 768 * 512 * 2);
  // Twelve matrices of 512 x 512 in two bytes: 6.3 MB.
  EXPECT_EQ(savings.score_bytes, 12 * 512 * 512 * 2);
  EXPECT_EQ(savings.memory_saved.scores, -savings.score_bytes);
}

TEST(PredictTest, ParametersSavedAreThoseOfTheCount) {
  TransformerShape shape = kT5Base;
  shape.relative_position_max = 16;
  const PlanSavings savings =
      Predict(shape, Proposed(shape, 6, 10), kT5, {.weight_bytes = 1, .vector_bytes = 1});
  EXPECT_EQ(savings.memory_saved.parameters, savings.exact_parameters - savings.parameters);
}

TEST(PredictTest, DecoderScoresOfBothKindsAreAliveTogether) {
  const TransformerShape shape = Translation();
  const PlanSavings decoder_larger =
      Predict(shape, Proposed(shape, 8, 4), {10, 20}, {.score_bytes = 1});
  EXPECT_EQ(decoder_larger.score_bytes, 8 * (20 * 20 + 20 * 10));
  const PlanSavings encoder_larger =
      Predict(shape, Proposed(shape, 8, 4), {20, 2}, {.score_bytes = 1});
  EXPECT_EQ(encoder_larger.score_bytes, 8 * 20 * 20);
}

TEST(PredictTest, FullReuseInHalfTheLayersHalvesTheKeyCache) {
  const PlanSavings savings =
      Predict(kT5Base, Proposed(kT5Base, 12, 6), kT5, {.activation_bytes = 2});
  EXPECT_EQ(savings.exact_key_cache_bytes_per_token, 12 * 768 * 2);
  EXPECT_EQ(savings.key_cache_bytes_per_token, 6 * 768 * 2);
}

// Limits:
// ------------------------------------------------------------------------------------------

TEST(CheckCostInputTest, ShapeAndPlanMustAgree) {
  EXPECT_THAT(CheckCostInput(kBertBase, Exact(kBertLarge), kBert),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("12 layers of 12 heads; expected 24 layers of 16 heads")));
  EXPECT_THAT(CheckCostInput(TransformerShape{}, ReusePlan{}, kBert),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 layers")));
}

TEST(CheckCostInputTest, SizesOutsideTheLimitsAreNamed) {
  const ReusePlan plan = Exact(kBertBase);
  TransformerShape shape = kBertBase;
  shape.hidden_size = INT_MAX;
  EXPECT_THAT(CheckCostInput(shape, plan, kBert),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("hidden_size is 2147483647; expected 1 to 65536")));
  shape = kBertBase;
  shape.head_dim = -1;
  EXPECT_THAT(CheckCostInput(shape, plan, kBert),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("head_dim is -1")));
  EXPECT_THAT(CheckCostInput(kBertBase, plan, {-1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("source length is -1")));
  EXPECT_THAT(CheckCostInput(kBertBase, plan, {1, INT64_MAX}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("target length")));
}

TEST(CheckCostInputTest, TheLargestAcceptedModelDoesNotOverflow) {
  const TransformerShape shape = {.num_layers = kMaxLayers,
                                  .num_heads = kMaxHeads,
                                  .hidden_size = 1 << 16,
                                  .intermediate_size = 1 << 16,
                                  .has_decoder = true,
                                  .vocab_size = INT_MAX,
                                  .max_position_embeddings = INT_MAX,
                                  .type_vocab_size = INT_MAX,
                                  .patch_size = 1 << 16,
                                  .relative_buckets = INT_MAX,
                                  .relative_position_max = INT_MAX,
                                  .num_labels = INT_MAX};
  const ReusePlan plan = Proposed(shape, kMaxHeads, kMaxLayers - 1);
  const SequenceLengths longest{1 << 16, 1 << 16};
  ASSERT_OK(CheckCostInput(shape, plan, longest));
  const PlanSavings savings = Predict(shape, plan, longest, {.scores_stored = false});
  // In floating point, which cannot wrap: d = intermediate = n = m = 2^16, so that each of the 12
  // projections, 6 score products and 4 feed-forward products of a layer pair takes 2^48.
  EXPECT_EQ(static_cast<double>(savings.exact_multiply_adds.total() -
                                savings.exact_multiply_adds.patch_embedding),
            1024.0 * 22 * 281474976710656.0);
  EXPECT_LT(savings.multiply_adds.total(), savings.exact_multiply_adds.total());
  EXPECT_LT(savings.parameters, savings.exact_parameters);
  EXPECT_GT(savings.parameters, 0);
}

}  // namespace
}  // namespace reprise::engine::reuse
