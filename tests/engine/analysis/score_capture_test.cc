#include "engine/analysis/score_capture.h"

#include <string>
#include <vector>

#include "engine/architectures/bert_parameters.h"
#include "engine/weights/checkpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/bert.h"
#include "tests/reference/checkpoint_writer.h"
#include "tests/reference/random_model.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::analysis {
namespace {

using reference::AllClose;
using reference::BertModel;
using reference::NumberFormat;
using reference::Random;
using reference::ReuseRecipe;

// A model's config and packed weights, read from what the reference writes.
struct Loaded {
  architectures::BertConfig config;
  architectures::BertWeights weights;
};
std::unique_ptr<Loaded> Load(const BertModel& model) {
  const testing::TemporaryDirectory scratch;
  reference::WriteCheckpoint(scratch.path(), model, {});
  auto loaded = std::make_unique<Loaded>();
  loaded->config = *architectures::ReadBertConfig(scratch.path());
  const auto checkpoint = weights::Checkpoint::Open(scratch.path());
  EXPECT_OK(checkpoint);
  const auto parts = architectures::FindParts(loaded->config, **checkpoint);
  EXPECT_OK(parts);
  auto weights = architectures::PackBertWeights(loaded->config, *parts, **checkpoint, DType::kF32);
  EXPECT_OK(weights);
  loaded->weights = *std::move(weights);
  return loaded;
}

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
  const auto capture = ScoreCapture::Create(loaded->config, loaded->weights, 64);
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

TEST(ScoreCapture, AReuseModelIsRefused) {
  Random random{3};
  std::unique_ptr<Loaded> loaded;
  do {
    loaded = Load(RandomModel(reference::RandomConfig(ReuseRecipe::Kind::kProposed, random),
                              NumberFormat::kF32, random));
  } while (loaded->config.plan.is_exact());
  EXPECT_THAT(ScoreCapture::Create(loaded->config, loaded->weights, 64),
              testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                ::testing::HasSubstr("their own scores")));
}

}  // namespace
}  // namespace reprise::engine::analysis
