// The engine against other implementations: the paper authors' layers, and the published demo
// model.
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/run_executor.h"
#include "tests/reference/bert.h"
#include "tests/reference/oracle.h"
#include "tests/reference/tolerance.h"

namespace reprise::engine {
namespace {

std::unique_ptr<Executor> LoadExecutor(const std::filesystem::path& directory, Precision precision,
                                       const ExecutorOptions& options) {
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load(directory.string(), ModelOptions{precision});
  EXPECT_OK(model);
  return model.ok() ? MakeExecutor(*model, options) : nullptr;
}

class ExecutorReuseOracleTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Cases, ExecutorReuseOracleTest,
                         ::testing::ValuesIn(reference::ReuseOracleNames()),
                         [](const auto& info) { return info.param; });

TEST_P(ExecutorReuseOracleTest, AgreesWithTheAuthorsLayers) {
  const std::vector<reference::ReuseOracleText> texts = reference::ReadReuseOracle(GetParam());
  std::vector<reference::Sequence> batch;
  for (const reference::ReuseOracleText& text : texts) batch.push_back(text.sequence);
  for (ReuseStrategy strategy :
       {ReuseStrategy::kStored, ReuseStrategy::kRecompute, ReuseStrategy::kFused}) {
    ExecutorOptions options;
    options.strategy = strategy;
    const auto executor =
        LoadExecutor(reference::ReuseOracleDirectory(GetParam()), Precision::kF32, options);
    ASSERT_NE(executor, nullptr);
    const std::vector<Answer> got = AnswersOf(*executor, batch);
    for (std::size_t row = 0; row < texts.size(); ++row) {
      EXPECT_THAT(got[row].last_hidden_state,
                  reference::AllClose(texts[row].last_hidden_state, reference::kFloat32))
          << "row " << row;
    }
  }
}

double Cosine(const std::vector<float>& a, const std::vector<double>& b) {
  double dot = 0, a_squares = 0, b_squares = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    dot += a.at(i) * b[i];
    a_squares += static_cast<double>(a[i]) * a[i];
    b_squares += b[i] * b[i];
  }
  return dot / std::sqrt(a_squares * b_squares);
}

// The smallest cosine between the engine's sentence embeddings and the published model's own.
double WorstCosineOfDemoModel(Precision precision) {
  const auto executor = LoadExecutor(reference::DemoModelDirectory(), precision, {});
  if (executor == nullptr) return -1;
  const std::vector<reference::DemoSentence> sentences = reference::ReadDemoOracle();
  std::vector<reference::Sequence> batch;
  for (const reference::DemoSentence& sentence : sentences) {
    batch.push_back(reference::MakeSequence(sentence.input_ids));
  }
  const std::vector<Answer> answers = AnswersOf(*executor, batch);
  double worst = 1;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const double cosine = Cosine(answers[i].sentence_embedding, sentences[i].sentence_embedding);
    // Written so that NaN becomes the worst.
    if (!(cosine >= worst)) worst = cosine;
  }
  return worst;
}

TEST(DemoModelTest, Fp32EmbedsAsThePublishedModelDoes) {
  EXPECT_GE(WorstCosineOfDemoModel(Precision::kF32), 0.99999);
}

TEST(DemoModelTest, DefaultPrecisionEmbedsNearThePublishedModel) {
  // bf16 where the CPU has it in hardware.
  EXPECT_GE(WorstCosineOfDemoModel(Precision::kAuto), 0.999);
}

}  // namespace
}  // namespace reprise::engine
