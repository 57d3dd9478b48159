#include "engine/analysis/head_statistics.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/analysis/loaded_model.h"

namespace reprise::engine::analysis {
namespace {

using reference::Random;

TEST(HeadStatistics, OnePassGivesWhatTextsOneByOneGive) {
  Random random{31};
  const reference::BertModel model = MakeConvertedPair(false, random).original;
  const auto loaded = Load(model);
  const auto texts = RandomTexts(model.config, 40, random);
  const auto outputs = ReadHeadOutputs(loaded->config, *loaded->checkpoint);
  ASSERT_OK(outputs);
  int done = 0;
  const auto found = MeasureHeadStatistics(
      loaded->config, loaded->weights, *outputs, texts,
      {.threads = 2, .progress = [&](int texts_done, int) { done = texts_done; }});
  ASSERT_OK(found);
  EXPECT_EQ(done, 40);
  const auto capture = ScoreCapture::Create(loaded->config, loaded->weights, {.max_seq_len = 20});
  ASSERT_OK(capture);
  SimilarityTable similarity(3, 4);
  OutputErrors errors(loaded->config, *outputs);
  for (const auto& text : texts) {
    const CapturedScores scores = (*capture)->Run(text, {});
    similarity.Add(scores);
    errors.Add(scores);
  }
  for (int target = 4; target < 12; ++target) {
    for (int source = 0; source < target / 4 * 4; ++source) {
      EXPECT_NEAR(found->similarity.mean(target, source), similarity.mean(target, source), 1e-12);
      EXPECT_NEAR(found->errors.error(target, source), errors.error(target, source), 1e-9);
      EXPECT_NEAR(found->errors.scale(target, source), errors.scale(target, source), 1e-9);
      EXPECT_GE(found->errors.unscaled_error(target, source), errors.error(target, source) - 1e-9);
    }
  }
}

TEST(HeadStatistics, TextsThatDoNotFitTheModelAreNamed) {
  Random random{32};
  const auto loaded = Load(MakeConvertedPair(false, random).original);
  const auto outputs = ReadHeadOutputs(loaded->config, *loaded->checkpoint);
  ASSERT_OK(outputs);
  for (const auto& [texts, fragment] : {std::pair<Texts, const char*>({}, "no text"),
                                        {{{}}, "0 tokens"},
                                        {{{1}, {99}}, "token id 99"}}) {
    EXPECT_THAT(
        MeasureHeadStatistics(loaded->config, loaded->weights, *outputs, texts, {}).status(),
        testing::StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr(fragment)));
  }
}

}  // namespace
}  // namespace reprise::engine::analysis
