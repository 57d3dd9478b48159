// The bits of an answer depend on the text alone: not on its company, its place in the batch, the
// threads, or the limits of the executor.
#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "engine/executor.h"
#include "gtest/gtest.h"
#include "tests/engine/cpu_precisions.h"
#include "tests/engine/run_executor.h"
#include "tests/reference/bert.h"
#include "tests/reference/random_model.h"

namespace reprise::engine {
namespace {

using reference::BertConfig;
using reference::BertModel;
using reference::NumberFormat;
using reference::Random;
using reference::ReuseRecipe;
using reference::Sequence;

// A partial reuse model with every output, of a width that is no multiple of a vector.
BertModel MakeModel(Random& random) {
  BertConfig config;
  config.num_layers = 5;
  config.num_heads = 6;
  config.hidden_size = 6 * 20;
  config.intermediate_size = 250;
  config.max_position_embeddings = 200;
  config.relative_position_max = 16;
  config.has_pooler = true;
  config.num_labels = 3;
  config.pooling = reference::Pooling::kMean;
  config.normalize_embedding = true;
  config.reuse = {ReuseRecipe::Kind::kProposed, 4, 3, {}};
  return RandomModel(config, NumberFormat::kF32, random);
}

// Lengths around the block heights that a kernel may use.
std::vector<Sequence> MakeTexts(const BertConfig& config, Random& random) {
  std::vector<Sequence> texts;
  for (int length : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 48, 63, 64, 65, 100, 128, 130}) {
    texts.push_back(reference::RandomSequence(config, length, random));
  }
  return texts;
}

class ExecutorInvarianceTest
    : public ::testing::TestWithParam<std::tuple<Precision, ReuseStrategy, int>> {
 protected:
  ExecutorInvarianceTest() {
    options_.strategy = std::get<ReuseStrategy>(GetParam());
    options_.threads = std::get<int>(GetParam());
  }

  std::shared_ptr<const Model> Load(const BertModel& model) const {
    return LoadFromCheckpoint(model, std::get<Precision>(GetParam()));
  }

  void Shuffle(std::vector<int>* order) {
    for (int i = static_cast<int>(order->size()) - 1; i > 0; --i) {
      std::swap((*order)[i], (*order)[random_.Integer(0, i)]);
    }
  }

  ExecutorOptions options_;
  Random random_{41};
};

std::string NameOfCase(const ::testing::TestParamInfo<ExecutorInvarianceTest::ParamType>& info) {
  const auto& [precision, strategy, threads] = info.param;
  const char* const strategies[] = {"Auto", "Stored", "Recompute", "Fused"};
  return std::string(precision == Precision::kF32 ? "Fp32" : "Bf16") +
         strategies[static_cast<int>(strategy)] + std::to_string(threads) + "Threads";
}
INSTANTIATE_TEST_SUITE_P(
    All, ExecutorInvarianceTest,
    ::testing::Combine(::testing::ValuesIn(PrecisionsOfThisCpu()),
                       ::testing::Values(ReuseStrategy::kAuto, ReuseStrategy::kStored,
                                         ReuseStrategy::kRecompute, ReuseStrategy::kFused),
                       ::testing::Values(1, 2)),
    NameOfCase);

TEST_P(ExecutorInvarianceTest, CompanyAndPlaceInTheBatchDoNotChangeBits) {
  const BertModel model = MakeModel(random_);
  const std::vector<Sequence> texts = MakeTexts(model.config, random_);
  const auto executor = MakeExecutor(Load(model), options_);
  ASSERT_NE(executor, nullptr);
  std::vector<Answer> alone;
  for (const Sequence& text : texts) alone.push_back(AnswersOf(*executor, {text})[0]);

  for (int round = 0; round < 12; ++round) {
    std::vector<int> order(texts.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    Shuffle(&order);
    order.resize(random_.Integer(1, static_cast<int>(order.size())));
    std::vector<Sequence> batch;
    for (int index : order) batch.push_back(texts[index]);
    const std::vector<Answer> answers = AnswersOf(*executor, batch);
    for (std::size_t place = 0; place < order.size(); ++place) {
      ASSERT_EQ(answers[place], alone[order[place]])
          << "round " << round << ", text of " << texts[order[place]].size() << " tokens at place "
          << place << " of " << order.size();
    }
  }
}

TEST_P(ExecutorInvarianceTest, ThreadsAndLimitsDoNotChangeBits) {
  const BertModel model = MakeModel(random_);
  const std::vector<Sequence> texts = MakeTexts(model.config, random_);
  const auto loaded = Load(model);
  const auto executor = MakeExecutor(loaded, options_);
  ASSERT_NE(executor, nullptr);
  ExecutorOptions other = options_;
  other.threads = 3 - options_.threads;
  other.max_batch_tokens = 1000;
  other.max_batch_sequences = 32;
  const auto other_executor = MakeExecutor(loaded, other);
  ASSERT_NE(other_executor, nullptr);
  EXPECT_EQ(AnswersOf(*other_executor, texts), AnswersOf(*executor, texts));
}

TEST_P(ExecutorInvarianceTest, EarlierRunsDoNotChangeBits) {
  const BertModel model = MakeModel(random_);
  const std::vector<Sequence> texts = MakeTexts(model.config, random_);
  const auto executor = MakeExecutor(Load(model), options_);
  ASSERT_NE(executor, nullptr);
  const Answer first = AnswersOf(*executor, {texts[4]})[0];
  AnswersOf(*executor, texts);
  EXPECT_EQ(AnswersOf(*executor, {texts[4]})[0], first);
}

TEST(ScoreCacheLimitTest, IsDecidedByTheTextsOwnLength) {
  for (Precision precision : PrecisionsOfThisCpu()) {
    Random random(43);
    const BertModel model = MakeModel(random);
    const std::vector<Sequence> texts = MakeTexts(model.config, random);
    ExecutorOptions options;
    options.score_cache_bytes = 6 * 64 * 64 * 4;  // six fp32 matrices of 64 tokens
    const auto executor = MakeExecutor(LoadFromCheckpoint(model, precision), options);
    ASSERT_NE(executor, nullptr);
    const std::vector<Answer> together = AnswersOf(*executor, texts);
    EXPECT_GT(executor->report().stored_groups, 0);
    EXPECT_GT(executor->report().recompute_groups + executor->report().fused_groups, 0);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(AnswersOf(*executor, {texts[i]})[0], together[i]) << texts[i].size() << " tokens";
    }
  }
}

TEST(RandomModelsTest, CompanyDoesNotChangeBits) {
  for (int seed = 1; seed <= 24; ++seed) {
    Random random(seed);
    const BertModel model =
        RandomModel(reference::RandomConfig(static_cast<ReuseRecipe::Kind>(seed % 6), random),
                    NumberFormat::kF32, random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(model.config));
    std::vector<Sequence> texts;
    for (int i = 0; i < 6; ++i) {
      texts.push_back(reference::RandomSequence(model.config, random.Integer(1, 64), random));
    }
    for (Precision precision : PrecisionsOfThisCpu()) {
      const auto executor = MakeExecutor(LoadFromCheckpoint(model, precision), {});
      ASSERT_NE(executor, nullptr);
      const std::vector<Answer> together = AnswersOf(*executor, texts);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(AnswersOf(*executor, {texts[i]})[0], together[i]) << "text " << i;
      }
    }
  }
}

}  // namespace
}  // namespace reprise::engine
