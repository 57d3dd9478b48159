// The engine against the double-precision reference: random models of every kind, ragged batches,
// both strategies, fp32 and bf16.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/cpu_precisions.h"
#include "tests/engine/run_executor.h"
#include "tests/reference/bert.h"
#include "tests/reference/random_model.h"
#include "tests/reference/tolerance.h"
#include "tests/temporary_directory.h"

namespace reprise::engine {
namespace {

using reference::AllClose;
using reference::BertConfig;
using reference::BertModel;
using reference::BertOutputs;
using reference::NumberFormat;
using reference::Random;
using reference::ReuseRecipe;
using reference::Sequence;
using ::testing::HasSubstr;

// Up to `max_size` texts of 1 to 64 tokens, some with holes where a mask hid columns.
std::vector<Sequence> RandomBatch(const BertConfig& config, int max_size, Random& random) {
  std::vector<Sequence> batch(random.Integer(1, max_size));
  for (Sequence& sequence : batch) {
    // Short ones are as likely as long ones: that is where tiles and tails differ.
    const int length = random.Coin() ? random.Integer(1, 9) : random.Integer(10, 64);
    sequence = reference::RandomSequence(config, length, random);
    if (random.Coin()) sequence = reference::Pack(sequence, reference::RandomMask(length, random));
  }
  return batch;
}

void ExpectClose(const std::vector<Answer>& answers, const std::vector<BertOutputs>& expected,
                 const reference::ToleranceOfOutputs& tolerance) {
  ASSERT_EQ(answers.size(), expected.size());
  for (std::size_t index = 0; index < answers.size(); ++index) {
    SCOPED_TRACE("sequence " + std::to_string(index));
    EXPECT_THAT(
        answers[index].last_hidden_state,
        AllClose(reference::Flat(expected[index].last_hidden_state), tolerance.last_hidden_state));
    EXPECT_THAT(answers[index].sentence_embedding,
                AllClose(expected[index].sentence_embedding, tolerance.sentence_embedding));
    EXPECT_THAT(answers[index].pooler_output,
                AllClose(expected[index].pooler_output, tolerance.pooler_output));
    EXPECT_THAT(answers[index].logits, AllClose(expected[index].logits, tolerance.logits));
  }
}

std::vector<BertOutputs> ReferenceOutputs(const BertModel& model,
                                          const std::vector<Sequence>& batch) {
  std::vector<BertOutputs> outputs;
  for (const Sequence& sequence : batch) outputs.push_back(reference::Forward(model, sequence));
  return outputs;
}

const char* NameOf(ReuseStrategy strategy) {
  switch (strategy) {
    case ReuseStrategy::kAuto:
      return "auto";
    case ReuseStrategy::kStored:
      return "stored";
    case ReuseStrategy::kRecompute:
      return "recompute";
    case ReuseStrategy::kFused:
      return "fused";
  }
  return "?";
}

// Seed s draws a model of kind s % 6, so that each kind of reuse comes equally often.
class ExecutorReferenceTest : public ::testing::TestWithParam<int> {
 protected:
  ReuseRecipe::Kind kind() const { return static_cast<ReuseRecipe::Kind>(GetParam() % 6); }
  Random random_{static_cast<std::uint64_t>(GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Seeds, ExecutorReferenceTest, ::testing::Range(0, 96));

TEST_P(ExecutorReferenceTest, Fp32AgreesWithTheReference) {
  reference::CheckpointOptions checkpoint;
  checkpoint.format = random_.OneOf<NumberFormat>(
      {NumberFormat::kF32, NumberFormat::kF32, NumberFormat::kF16, NumberFormat::kBF16});
  checkpoint.bert_prefix = random_.Coin();
  checkpoint.num_shards = random_.OneOf<int>({1, 1, 3});
  checkpoint.position_ids_buffer = random_.Coin();
  const BertModel model =
      RandomModel(reference::RandomConfig(kind(), random_), checkpoint.format, random_);
  SCOPED_TRACE(Describe(model.config));
  const std::vector<Sequence> batch = RandomBatch(model.config, 5, random_);
  const std::vector<BertOutputs> expected = ReferenceOutputs(model, batch);

  const auto loaded = LoadFromCheckpoint(model, Precision::kF32, checkpoint);
  ASSERT_NE(loaded, nullptr);
  for (ReuseStrategy strategy :
       {ReuseStrategy::kStored, ReuseStrategy::kRecompute, ReuseStrategy::kFused}) {
    SCOPED_TRACE(NameOf(strategy));
    ExecutorOptions options;
    options.threads = random_.Integer(1, 2);
    options.strategy = strategy;
    const auto executor = MakeExecutor(loaded, options);
    ASSERT_NE(executor, nullptr);
    ExpectClose(AnswersOf(*executor, batch), expected, reference::kFloat32Outputs);
  }
}

TEST_P(ExecutorReferenceTest, Bf16StaysWithinItsBoundsOrIsRefused) {
  reference::CheckpointOptions checkpoint;
  checkpoint.format = NumberFormat::kBF16;  // so that only the activations are rounded here
  const BertModel model =
      RandomModel(reference::RandomConfig(kind(), random_), checkpoint.format, random_);
  SCOPED_TRACE(Describe(model.config));
  if (!CpuMultipliesBf16()) {
    const testing::TemporaryDirectory scratch;
    reference::WriteCheckpoint(scratch.path(), model, checkpoint);
    EXPECT_THAT(Model::Load(scratch.path(), ModelOptions{Precision::kBF16}),
                testing::StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("--precision fp32")));
    return;
  }
  const std::vector<Sequence> batch = RandomBatch(model.config, 3, random_);
  const std::vector<BertOutputs> expected = ReferenceOutputs(model, batch);
  const auto loaded = LoadFromCheckpoint(model, Precision::kBF16, checkpoint);
  ASSERT_NE(loaded, nullptr);
  for (ReuseStrategy strategy :
       {ReuseStrategy::kStored, ReuseStrategy::kRecompute, ReuseStrategy::kFused}) {
    SCOPED_TRACE(NameOf(strategy));
    ExecutorOptions options;
    options.strategy = strategy;
    const auto executor = MakeExecutor(loaded, options);
    ASSERT_NE(executor, nullptr);
    ExpectClose(AnswersOf(*executor, batch), expected, reference::kBFloat16Outputs);
  }
}

TEST_P(ExecutorReferenceTest, CountsTheScoresThatTheSourceMapComputesAndReuses) {
  const BertModel model =
      RandomModel(reference::RandomConfig(kind(), random_), NumberFormat::kF32, random_);
  SCOPED_TRACE(Describe(model.config));
  const std::vector<Sequence> batch = RandomBatch(model.config, 4, random_);
  std::int64_t entries = 0;  // of one head's score matrices over the batch
  for (const Sequence& sequence : batch) {
    entries += static_cast<std::int64_t>(sequence.size()) * sequence.size();
  }
  const reference::SourceMap map = model.config.source_map();
  const auto loaded = LoadFromCheckpoint(model, Precision::kF32);
  ASSERT_NE(loaded, nullptr);
  for (ReuseStrategy strategy :
       {ReuseStrategy::kStored, ReuseStrategy::kRecompute, ReuseStrategy::kFused}) {
    SCOPED_TRACE(NameOf(strategy));
    ExecutorOptions options;
    options.strategy = strategy;
    const auto executor = MakeExecutor(loaded, options);
    ASSERT_NE(executor, nullptr);
    AnswersOf(*executor, batch);
    const ExecutionReport& report = executor->report();
    ASSERT_EQ(report.layer_scores.size(), model.config.num_layers);
    const bool stored = strategy == ReuseStrategy::kStored;
    std::int64_t reused_heads = 0;
    for (int layer = 0; layer < model.config.num_layers; ++layer) {
      SCOPED_TRACE("layer " + std::to_string(layer));
      const std::int64_t computed = reference::ComputedHeads(map, layer).size();
      const std::int64_t heads = map.has_attention[layer] ? model.config.num_heads : 0;
      const std::int64_t taken_over = (heads - computed) * entries;
      EXPECT_EQ(report.layer_scores[layer].computed, computed * entries);
      EXPECT_EQ(report.layer_scores[layer].reused, stored ? taken_over : 0);
      EXPECT_EQ(report.layer_scores[layer].recomputed, stored ? 0 : taken_over);
      reused_heads += heads - computed;
    }
    EXPECT_EQ(report.score_cache_live_bytes > 0, stored && reused_heads > 0);
  }
}

TEST(ExecutorTest, NoReusedHeadsGivesTheBitsOfThePlainModel) {
  for (int seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    BertConfig config = reference::RandomConfig(ReuseRecipe::Kind::kExact, random);
    BertModel model = RandomModel(config, NumberFormat::kF32, random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(config));
    const std::vector<Sequence> batch = RandomBatch(config, 4, random);
    for (Precision precision : PrecisionsOfThisCpu()) {
      model.config.reuse = ReuseRecipe{};
      const auto plain = MakeExecutor(LoadFromCheckpoint(model, precision), {});
      model.config.reuse = {ReuseRecipe::Kind::kProposed, 0, config.num_layers - 1, {}};
      const auto reuse = MakeExecutor(LoadFromCheckpoint(model, precision), {});
      ASSERT_NE(plain, nullptr);
      ASSERT_NE(reuse, nullptr);
      EXPECT_EQ(AnswersOf(*reuse, batch), AnswersOf(*plain, batch));
    }
  }
}

TEST(ExecutorTest, DeepModelsAgreeWithTheReference) {
  // The 26-layer shape of the paper's tables, K = H and P = 12, at a narrow width.
  Random random(26);
  BertConfig config;
  config.num_layers = 26;
  config.num_heads = 4;
  config.hidden_size = 32;
  config.intermediate_size = 128;
  config.pooling = reference::Pooling::kMean;
  config.reuse = {ReuseRecipe::Kind::kProposed, 4, 12, {}};
  const BertModel model = RandomModel(config, NumberFormat::kF32, random);
  const std::vector<Sequence> batch = RandomBatch(config, 4, random);
  const auto executor = MakeExecutor(LoadFromCheckpoint(model, Precision::kF32), {});
  ASSERT_NE(executor, nullptr);
  ExpectClose(AnswersOf(*executor, batch), ReferenceOutputs(model, batch),
              reference::kFloat32Outputs);
}

}  // namespace
}  // namespace reprise::engine
