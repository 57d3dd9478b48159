#include "engine/analysis/score_capture.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/analysis/loaded_model.h"
#include "tests/reference/bert.h"
#include "tests/reference/random_model.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using reference::AllClose;
using reference::BertModel;
using reference::NumberFormat;
using reference::Random;
using reference::ReuseRecipe;

class ScoreCaptureTest : public ::testing::TestWithParam<int> {
 protected:
  Random random_{static_cast<std::uint64_t>(GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Seeds, ScoreCaptureTest, ::testing::Range(0, 12));

TEST_P(ScoreCaptureTest, GivesTheProbabilitiesAndTheHiddenStateOfTheReference) {
  const BertModel model = RandomModel(reference::RandomConfig(ReuseRecipe::Kind::kExact, random_),
                                      NumberFormat::kF32, random_);
  SCOPED_TRACE(Describe(model.config));
  const auto loaded = Load(model);
  const auto capture = ScoreCapture::Create(loaded->config, loaded->weights, {.max_seq_len = 64});
  ASSERT_OK(capture);
  // A long text first: what it leaves behind must not show.
  for (const int length : {64, random_.Integer(1, 40), 1}) {
    reference::Sequence sequence = reference::RandomSequence(model.config, length, random_);
    for (int i = 0; i < length; ++i) sequence.position_ids[i] = i;
    const reference::BertOutputs expected = reference::Forward(model, sequence);
    const CapturedScores scores = (*capture)->Run(
        std::vector<std::int32_t>(sequence.ids.begin(), sequence.ids.end()),
        std::vector<std::int32_t>(sequence.type_ids.begin(), sequence.type_ids.end()));
    ASSERT_EQ(scores.seq_len, length);
    for (int layer = 0; layer < model.config.num_layers; ++layer) {
      for (int head = 0; head < model.config.num_heads; ++head) {
        std::vector<float> found;
        for (int query = 0; query < length; ++query) {
          const float* row = scores.row(layer * model.config.num_heads + head, query);
          found.insert(found.end(), row, row + length);
          for (std::int64_t key = length; key < scores.row_stride; ++key) EXPECT_EQ(row[key], 0);
        }
        EXPECT_THAT(found, AllClose(reference::Flat(expected.attention_probs[layer][head]),
                                    reference::kFloat32))
            << "layer " << layer << ", head " << head;
      }
    }
    const MatrixView<const float> hidden = (*capture)->last_hidden_state();
    EXPECT_THAT(std::vector<float>(hidden.data, hidden.data + hidden.rows * hidden.columns),
                AllClose(reference::Flat(expected.last_hidden_state), reference::kFloat32));
  }
}

TEST_P(ScoreCaptureTest, ATextGivesTheSameBitsBesideOthers) {
  const BertModel model = RandomModel(reference::RandomConfig(ReuseRecipe::Kind::kExact, random_),
                                      NumberFormat::kF32, random_);
  SCOPED_TRACE(Describe(model.config));
  const auto loaded = Load(model);
  const int heads = model.config.num_layers * model.config.num_heads;
  std::vector<std::vector<std::int32_t>> texts;
  std::vector<std::int32_t> cu_seqlens = {0}, ids;
  for (const int length : {random_.Integer(1, 40), 64, 1, random_.Integer(1, 40)}) {
    texts.push_back(Ids(reference::RandomSequence(model.config, length, random_)));
    ids.insert(ids.end(), texts.back().begin(), texts.back().end());
    cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
  }
  const auto together = ScoreCapture::Create(loaded->config, loaded->weights,
                                             {.max_seq_len = 64, .max_tokens = cu_seqlens.back()});
  const auto alone = ScoreCapture::Create(loaded->config, loaded->weights, {.max_seq_len = 64});
  ASSERT_OK(together);
  ASSERT_OK(alone);
  (*together)->Begin(cu_seqlens, ids, {});
  for (int layer = 0; layer < model.config.num_layers; ++layer) {
    (*together)->Attend(layer);
    (*together)->Finish(layer);
  }
  (*together)->End();
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const CapturedScores expected = (*alone)->Run(texts[text], {});
    const CapturedScores found = (*together)->scores(static_cast<int>(text));
    ASSERT_EQ(found.seq_len, expected.seq_len);
    const auto same = [](const float* a, const float* b, std::int64_t size) {
      return std::equal(a, a + size, b);
    };
    EXPECT_TRUE(same(found.probs, expected.probs, heads * found.seq_len * found.row_stride));
    EXPECT_TRUE(
        same(found.values, expected.values, heads * found.seq_len * loaded->config.head_dim()));
    EXPECT_TRUE(std::equal(found.residual_squares.begin(), found.residual_squares.end(),
                           expected.residual_squares.begin()));
    EXPECT_TRUE(same((*together)->last_hidden_state().row(cu_seqlens[text]),
                     (*alone)->last_hidden_state().row(0),
                     found.seq_len * model.config.hidden_size));
  }
}

TEST_P(ScoreCaptureTest, HeadsThatTakeOthersScoresGiveTheConvertedModelsHiddenState) {
  const ConvertedPair pair = MakeConvertedPair(/*norm_first=*/random_.Coin(), random_);
  const auto loaded = Load(pair.original);
  const auto capture = ScoreCapture::Create(loaded->config, loaded->weights, {.max_seq_len = 64});
  ASSERT_OK(capture);
  for (const auto& text : RandomTexts(pair.original.config, 3, random_)) {
    const std::int32_t cu_seqlens[] = {0, static_cast<std::int32_t>(text.size())};
    (*capture)->Begin(cu_seqlens, text, {});
    for (int layer = 0; layer < 3; ++layer) {
      (*capture)->Attend(layer, &pair.sources);
      (*capture)->Finish(layer);
    }
    (*capture)->End();
    const MatrixView<const float> hidden = (*capture)->last_hidden_state();
    EXPECT_THAT(
        std::vector<float>(hidden.data, hidden.data + hidden.rows * hidden.columns),
        AllClose(
            reference::Flat(reference::Forward(pair.converted, SequenceOf(text)).last_hidden_state),
            reference::kFloat32));
  }
}

TEST(ScoreCapture, AReuseModelIsRefused) {
  Random random{3};
  std::unique_ptr<LoadedModel> loaded;
  do {
    loaded = Load(RandomModel(reference::RandomConfig(ReuseRecipe::Kind::kProposed, random),
                              NumberFormat::kF32, random));
  } while (loaded->config.plan.is_exact());
  EXPECT_THAT(ScoreCapture::Create(loaded->config, loaded->weights, {.max_seq_len = 64}),
              testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                ::testing::HasSubstr("their own scores")));
}

}  // namespace
}  // namespace reprise::engine::analysis
