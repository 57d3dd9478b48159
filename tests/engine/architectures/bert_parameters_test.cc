#include "engine/architectures/bert_parameters.h"

#include <algorithm>
#include <map>

#include "engine/reuse/cost_model.h"
#include "engine/weights/planned_source.h"
#include "engine/weights/random_source.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::engine::architectures {
namespace {

using ::nlohmann::json;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using weights::PlannedSource;
using weights::RandomSource;
using weights::TensorSpec;

// 3 layers of 4 heads, 2 columns each.
BertConfig Small(const json& attention_reuse = nullptr) {
  return *ParseBertConfig({{"num_hidden_layers", 3},
                           {"num_attention_heads", 4},
                           {"hidden_size", 8},
                           {"intermediate_size", 12},
                           {"vocab_size", 20},
                           {"max_position_embeddings", 16},
                           {"relative_position", {{"type", "clipped"}, {"max_seq_length", 5}}},
                           {"attention_reuse", attention_reuse}});
}

std::map<std::string, std::vector<std::int64_t>> ByName(const std::vector<TensorSpec>& tensors) {
  std::map<std::string, std::vector<std::int64_t>> by_name;
  for (const TensorSpec& tensor : tensors) by_name[tensor.name] = tensor.shape;
  EXPECT_EQ(by_name.size(), tensors.size());
  return by_name;
}

constexpr char kQuery[] = "encoder.layer.1.attention.self.query.weight";
constexpr char kQueryBias[] = "encoder.layer.1.attention.self.query.bias";
constexpr char kValue[] = "encoder.layer.1.attention.self.value.weight";
constexpr char kRelative[] = "encoder.layer.1.attention.self.relative_position_bias";

TEST(BertParametersTest, AnExactModelHasHuggingFacesTensors) {
  BertConfig config = Small();
  config.relative_position_max = 0;
  const auto tensors = ByName(BertParameters(config, {.pooler = true, .num_labels = 3}));
  EXPECT_EQ(tensors.size(), 5u + 3 * 16 + 2 + 2);
  EXPECT_THAT(tensors.at("embeddings.word_embeddings.weight"), ElementsAre(20, 8));
  EXPECT_THAT(tensors.at("embeddings.position_embeddings.weight"), ElementsAre(16, 8));
  EXPECT_THAT(tensors.at("embeddings.token_type_embeddings.weight"), ElementsAre(2, 8));
  EXPECT_THAT(tensors.at("embeddings.LayerNorm.weight"), ElementsAre(8));
  EXPECT_THAT(tensors.at(kQuery), ElementsAre(8, 8));
  EXPECT_THAT(tensors.at(kQueryBias), ElementsAre(8));
  EXPECT_THAT(tensors.at("encoder.layer.2.attention.self.key.bias"), ElementsAre(8));
  EXPECT_THAT(tensors.at("encoder.layer.2.attention.output.dense.weight"), ElementsAre(8, 8));
  EXPECT_THAT(tensors.at("encoder.layer.2.attention.output.LayerNorm.bias"), ElementsAre(8));
  EXPECT_THAT(tensors.at("encoder.layer.0.intermediate.dense.weight"), ElementsAre(12, 8));
  EXPECT_THAT(tensors.at("encoder.layer.0.output.dense.weight"), ElementsAre(8, 12));
  EXPECT_THAT(tensors.at("encoder.layer.0.output.LayerNorm.weight"), ElementsAre(8));
  EXPECT_THAT(tensors.at("pooler.dense.weight"), ElementsAre(8, 8));
  EXPECT_THAT(tensors.at("classifier.weight"), ElementsAre(3, 8));
}

TEST(BertParametersTest, AReuseLayerHasRowsForItsComputedHeads) {
  const auto tensors = ByName(BertParameters(Small({{"heads", 3}, {"layers", 1}}), {}));
  EXPECT_THAT(tensors.at(kQuery), ElementsAre(2, 8));
  EXPECT_THAT(tensors.at(kQueryBias), ElementsAre(2));
  EXPECT_THAT(tensors.at(kRelative), ElementsAre(1, 9));
  EXPECT_THAT(tensors.at(kValue), ElementsAre(8, 8));
}

TEST(BertParametersTest, ALayerThatComputesNothingHasNoQueryOrKey) {
  const auto tensors = ByName(BertParameters(Small({{"heads", 4}, {"layers", 1}}), {}));
  EXPECT_FALSE(tensors.contains(kQuery));
  EXPECT_FALSE(tensors.contains(kQueryBias));
  EXPECT_FALSE(tensors.contains(kRelative));
  EXPECT_TRUE(tensors.contains(kValue));
}

TEST(BertParametersTest, ASkippedLayerHasOnlyItsFeedForward) {
  const auto tensors = ByName(BertParameters(Small({{"variant", "skip"}, {"layers", 1}}), {}));
  EXPECT_EQ(
      std::ranges::count_if(
          tensors, [](const auto& tensor) { return tensor.first.starts_with("encoder.layer.1."); }),
      6);
  EXPECT_FALSE(tensors.contains("encoder.layer.1.attention.output.LayerNorm.weight"));
}

TEST(BertParametersTest, AFinalNormComesAfterTheLastLayer) {
  BertConfig config = Small();
  config.final_layer_norm = true;
  EXPECT_THAT(ByName(BertParameters(config, {})).at("encoder.final_layer_norm.weight"),
              ElementsAre(8));
}

TEST(BertParametersTest, CountsWhatTheCostModelCounts) {
  for (const char* reuse :
       {"null", R"({"heads": 3, "layers": 2})", R"({"heads": 4, "layers": 1})",
        R"({"variant": "skip", "layers": 1})", R"({"variant": "alternate", "layers": 1})"}) {
    const BertConfig config = Small(json::parse(reuse));
    const reuse::TransformerShape shape = {.num_layers = 3,
                                           .num_heads = 4,
                                           .hidden_size = 8,
                                           .intermediate_size = 12,
                                           .vocab_size = 20,
                                           .max_position_embeddings = 16,
                                           .type_vocab_size = 2,
                                           .relative_position_max = 5,
                                           .pooler = true,
                                           .num_labels = 3};
    EXPECT_EQ(ParameterCount(BertParameters(config, {.pooler = true, .num_labels = 3})),
              reuse::ParameterCount(shape, config.plan))
        << reuse;
  }
}

TEST(BertPartsTest, FindsPoolerAndClassifier) {
  const BertConfig config = Small();
  const auto none = FindParts(config, RandomSource(BertParameters(config, {}), 1));
  ASSERT_OK(none);
  EXPECT_FALSE(none->pooler);
  EXPECT_EQ(none->num_labels, 0);
  const auto both =
      FindParts(config, RandomSource(BertParameters(config, {.pooler = true, .num_labels = 3}), 1));
  ASSERT_OK(both);
  EXPECT_TRUE(both->pooler);
  EXPECT_EQ(both->num_labels, 3);
}

TEST(BertPartsTest, LabelsMustMatchTheClassifier) {
  BertConfig config = Small();
  config.labels = {"no", "yes"};
  EXPECT_THAT(
      FindParts(config, RandomSource(BertParameters(config, {.pooler = true, .num_labels = 3}), 1)),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("2 labels"), HasSubstr("[3, 8]"))));
}

TEST(BertPartsTest, AClassifierNeedsAPooler) {
  const BertConfig config = Small();
  EXPECT_THAT(FindParts(config, RandomSource(BertParameters(config, {.num_labels = 3}), 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pooler.dense.weight")));
}

TEST(BertPartsTest, AClassifierIsAMatrix) {
  const BertConfig config = Small();
  auto tensors = BertParameters(config, {.pooler = true});
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{}, {3}, {0, 8}, {3, 8, 1}, {1 << 30, 8}}) {
    tensors.push_back({"classifier.weight", shape});
    EXPECT_THAT(FindParts(config, RandomSource(tensors, 1)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected [labels, 8]")));
  }
}

TEST(CheckParametersTest, TakesWeightsThatFitTheirConfig) {
  for (const char* reuse : {"null", R"({"heads": 3, "layers": 2})", R"({"heads": 4, "layers": 1})",
                            R"({"variant": "skip", "layers": 1})"}) {
    const BertConfig config = Small(json::parse(reuse));
    EXPECT_OK(CheckParameters(config, {.pooler = true},
                              RandomSource(BertParameters(config, {.pooler = true}), 1)))
        << reuse;
  }
}

TEST(CheckParametersTest, NamesAMissingTensor) {
  const BertConfig config = Small();
  auto tensors = BertParameters(config, {});
  std::erase_if(tensors, [](const TensorSpec& tensor) { return tensor.name == kValue; });
  EXPECT_THAT(CheckParameters(config, {}, RandomSource(tensors, 1)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(kValue)));
}

TEST(CheckParametersTest, NamesATensorOfAnotherShape) {
  const BertConfig config = Small();
  BertConfig other = config;
  other.vocab_size = 21;
  EXPECT_THAT(
      CheckParameters(config, {}, RandomSource(BertParameters(other, {}), 1)),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("word_embeddings"), HasSubstr("[21, 8]; expected [20, 8]"))));
}

TEST(CheckParametersTest, AContradictionToTheTableNamesTableAndTensor) {
  const BertConfig exact = Small();
  const BertConfig reuse = Small({{"heads", 3}, {"layers", 1}});
  EXPECT_THAT(CheckParameters(reuse, {}, RandomSource(BertParameters(exact, {}), 1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(kQuery), HasSubstr("[8, 8]; expected [2, 8]"),
                             HasSubstr("layer 1 computes 1 of its 4 heads"),
                             HasSubstr("attention_reuse (3x1)"))));
  EXPECT_THAT(CheckParameters(exact, {}, RandomSource(BertParameters(reuse, {}), 1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(kQuery), HasSubstr("computes 4 of its 4 heads"))));
}

TEST(CheckParametersTest, QueriesThatNobodyComputesAreAContradiction) {
  const BertConfig exact = Small();
  for (const char* reuse :
       {R"({"heads": 4, "layers": 1})", R"({"variant": "skip", "layers": 1})"}) {
    EXPECT_THAT(
        CheckParameters(Small(json::parse(reuse)), {}, RandomSource(BertParameters(exact, {}), 1)),
        StatusIs(
            absl::StatusCode::kInvalidArgument,
            AllOf(HasSubstr(kQuery), HasSubstr("expected none"), HasSubstr("attention_reuse"))));
  }
}

TEST(CheckParametersTest, AMissingQueryIsExplainedByTheTable) {
  const BertConfig config = Small({{"heads", 3}, {"layers", 1}});
  EXPECT_THAT(
      CheckParameters(config, {},
                      RandomSource(BertParameters(Small({{"heads", 4}, {"layers", 1}}), {}), 1)),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr(kQuery), HasSubstr("layer 1 computes 1 of its 4 heads"))));
}

TEST(PlannedRowBlocksTest, AnExactPlanLeavesEveryTensorWhole) {
  EXPECT_THAT(PlannedRowBlocks(Small()), IsEmpty());
}

TEST(PlannedRowBlocksTest, AnExactModelSeenThroughAnyPlanFitsThePlansConfig) {
  const BertConfig exact = Small();
  const RandomSource whole(BertParameters(exact, {.pooler = true}), 1);
  for (const char* reuse : {"null", R"({"heads": 1, "layers": 2})", R"({"heads": 3, "layers": 2})",
                            R"({"heads": 4, "layers": 1})", R"({"variant": "skip", "layers": 1})",
                            R"({"source": [[[0,0],[0,1],[0,2],[0,3]], [[0,2],[1,1],[0,0],[1,3]],
                       [[2,0],[1,3],[2,2],[0,1]]]})"}) {
    const BertConfig config = Small(json::parse(reuse));
    const PlannedSource planned(whole, PlannedRowBlocks(config));
    EXPECT_OK(CheckParameters(config, {.pooler = true}, planned)) << reuse;
  }
}

TEST(PlannedRowBlocksTest, AFreeTableKeepsTheRowsOfItsComputedHeads) {
  const BertConfig exact = Small();
  const RandomSource whole(BertParameters(exact, {}), 1);
  const BertConfig config = Small(json::parse(
      R"({"source": [[[0,0],[0,1],[0,2],[0,3]], [[0,2],[1,1],[0,0],[1,3]],
                     [[2,0],[2,1],[2,2],[2,3]]]})"));
  const PlannedSource planned(whole, PlannedRowBlocks(config));
  const std::int64_t whole_shape[] = {8};
  const std::int64_t shape[] = {4};
  const auto all = whole.Read(kQueryBias, whole_shape);
  const auto kept = planned.Read(kQueryBias, shape);
  ASSERT_OK(all);
  ASSERT_OK(kept);
  EXPECT_THAT(*kept, ElementsAre((*all)[2], (*all)[3], (*all)[6], (*all)[7]));
}

}  // namespace
}  // namespace reprise::engine::architectures
