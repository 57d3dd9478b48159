#include "server/commands/conversion_quality.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/analysis/save_checkpoint.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/weights/random_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/engine/tiny_model.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

class JudgeConversionTest : public ::testing::Test {
 protected:
  JudgeConversionTest() {
    engine::architectures::BertConfig config = engine::TinyConfig();
    config.plan = *engine::reuse::ReusePlan::Exact(config.num_layers, config.num_heads);
    for (const auto& [directory, seed] : {std::pair(original(), 7), std::pair(other(), 8)}) {
      const engine::weights::RandomSource source(engine::architectures::BertParameters(config, {}),
                                                 seed);
      EXPECT_OK(engine::analysis::SaveCheckpoint(config, source, directory));
    }
    for (int length : {5, 9, 3, 12, 7}) {
      std::vector<std::int32_t>& text = texts_.emplace_back();
      for (int i = 0; i < length; ++i) text.push_back((5 * length + 2 * i) % config.vocab_size);
    }
  }
  std::string original() const { return scratch_ / "original"; }
  std::string other() const { return scratch_ / "other"; }  // of the same shape

  // Of the model in `directory`, by the original's answers.
  absl::StatusOr<ConversionQuality> Judge(const std::string& directory, int threads) const {
    const auto before = AnswersOf(original(), texts_, threads);
    const auto after = AnswersOf(directory, texts_, threads);
    if (!after.ok()) return after.status();
    return Compare(*before, *after);
  }

  ::reprise::testing::TemporaryDirectory scratch_;
  TokenizedTexts texts_;
};

TEST_F(JudgeConversionTest, AModelAnswersAsItself) {
  const auto quality = Judge(original(), 1);
  ASSERT_OK(quality);
  EXPECT_EQ(quality->texts, 5);
  EXPECT_NEAR(quality->mean_cosine, 1, 1e-12);
  EXPECT_NEAR(quality->fifth_percentile, 1, 1e-12);
  EXPECT_NEAR(quality->neighbour_agreement, 1, 1e-12);
  EXPECT_NEAR(quality->ten_neighbours_agreement, 1, 1e-12);
  EXPECT_FALSE(quality->label_agreement.has_value());
}

TEST_F(JudgeConversionTest, AnotherModelAnswersLessAlike) {
  const auto quality = Judge(other(), 2);
  ASSERT_OK(quality);
  EXPECT_LT(quality->mean_cosine, 0.9);
  EXPECT_LE(quality->fifth_percentile, quality->mean_cosine);
  EXPECT_EQ(ToJson(*quality)["mean_cosine"], quality->mean_cosine);
}

TEST_F(JudgeConversionTest, AModelThatIsNotThereIsNamed) {
  EXPECT_THAT(
      Judge(scratch_ / "nothing", 1),
      ::reprise::testing::StatusIs(absl::StatusCode::kNotFound, ::testing::HasSubstr("nothing")));
}

TEST_F(JudgeConversionTest, ATextGivesTheSameAnswerBesideOthers) {
  const auto together = AnswersOf(original(), texts_, 1);
  ASSERT_OK(together);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const auto alone = AnswersOf(original(), {texts_[i]}, 1);
    ASSERT_OK(alone);
    EXPECT_EQ(alone->vectors[0], together->vectors[i]) << "text " << i;
  }
}

// Counted by hand: vectors of one coordinate each way.
TEST(CompareAnswers, CountsNeighboursAndLabels) {
  const ModelAnswers before = {{{1, 0}, {1, 0.1f}, {0, 1}, {0.1f, 1}}, {0, 1, 1, 0}};
  const ModelAnswers after = {{{1, 0}, {0.1f, 1}, {0, 1}, {1, 0.1f}}, {0, 1, 0, 0}};
  const ConversionQuality quality = Compare(before, after);
  EXPECT_EQ(quality.texts, 4);
  // 0 was nearest to 1, now to 3, and so on: all have another. Of three others all are the same.
  EXPECT_EQ(quality.neighbour_agreement, 0);
  EXPECT_NEAR(quality.ten_neighbours_agreement, 1, 1e-12);
  ASSERT_TRUE(quality.label_agreement.has_value());
  EXPECT_EQ(*quality.label_agreement, 0.75);
  const double crossed = 0.2 / 1.01;  // (1, 0.1) and (0.1, 1)
  EXPECT_NEAR(quality.mean_cosine, (2 + 2 * crossed) / 4, 1e-6);
  EXPECT_NEAR(quality.fifth_percentile, crossed, 1e-6);
  EXPECT_EQ(ToJson(quality)["label_agreement"], 0.75);
}

}  // namespace
}  // namespace reprise::server::commands
