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

  ::reprise::testing::TemporaryDirectory scratch_;
  TokenizedTexts texts_;
};

TEST_F(JudgeConversionTest, AModelAnswersAsItself) {
  const auto quality = JudgeConversion(original(), original(), texts_, 1);
  ASSERT_OK(quality);
  EXPECT_EQ(quality->texts, 5);
  EXPECT_NEAR(quality->mean_cosine, 1, 1e-12);
  EXPECT_NEAR(quality->fifth_percentile, 1, 1e-12);
  EXPECT_NEAR(quality->neighbour_agreement, 1, 1e-12);
}

TEST_F(JudgeConversionTest, AnotherModelAnswersLessAlike) {
  const auto quality = JudgeConversion(original(), other(), texts_, 2);
  ASSERT_OK(quality);
  EXPECT_LT(quality->mean_cosine, 0.9);
  EXPECT_LE(quality->fifth_percentile, quality->mean_cosine);
  EXPECT_EQ(ToJson(*quality)["mean_cosine"], quality->mean_cosine);
}

TEST_F(JudgeConversionTest, AModelThatIsNotThereIsNamed) {
  EXPECT_THAT(
      JudgeConversion(original(), scratch_ / "nothing", texts_, 1),
      ::reprise::testing::StatusIs(absl::StatusCode::kNotFound, ::testing::HasSubstr("nothing")));
}

}  // namespace
}  // namespace reprise::server::commands
