// The engine against other implementations: the paper authors' layers, and the published demo
// model.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/engine/run_executor.h"
#include "tests/reference/bert.h"
#include "tests/reference/tolerance.h"

namespace reprise::engine {
namespace {

const std::filesystem::path kData = REPRISE_TEST_DATA_DIR;

nlohmann::json ReadJson(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

std::unique_ptr<Executor> LoadExecutor(const std::filesystem::path& directory, Precision precision,
                                       const ExecutorOptions& options) {
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load(directory.string(), ModelOptions{precision});
  EXPECT_OK(model);
  return model.ok() ? MakeExecutor(*model, options) : nullptr;
}

class ExecutorReuseOracleTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Cases, ExecutorReuseOracleTest,
                         ::testing::Values("exact", "half", "chained", "full", "relative_pre_norm",
                                           "relative_full"),
                         [](const auto& info) { return info.param; });

TEST_P(ExecutorReuseOracleTest, AgreesWithTheAuthorsLayers) {
  const std::filesystem::path directory = kData / "reuse_oracle" / GetParam();
  const nlohmann::json expected = ReadJson(directory / "expected.json");
  const nlohmann::json& answers = expected.at("last_hidden_state_of_real_tokens");
  std::vector<reference::Sequence> batch;
  for (std::size_t row = 0; row < answers.size(); ++row) {
    reference::Sequence padded = reference::MakeSequence(expected.at("input_ids").at(row));
    padded.type_ids = expected.at("token_type_ids").at(row).get<std::vector<int>>();
    batch.push_back(reference::Pack(padded, expected.at("attention_mask").at(row)));
  }
  for (ReuseStrategy strategy : {ReuseStrategy::kStored, ReuseStrategy::kFused}) {
    ExecutorOptions options;
    options.strategy = strategy;
    const auto executor = LoadExecutor(directory, Precision::kF32, options);
    ASSERT_NE(executor, nullptr);
    const std::vector<Answer> got = AnswersOf(*executor, batch);
    for (std::size_t row = 0; row < answers.size(); ++row) {
      std::vector<double> answer;
      for (const nlohmann::json& token : answers.at(row)) {
        for (const double value : token) answer.push_back(value);
      }
      EXPECT_THAT(got[row].last_hidden_state, reference::AllClose(answer, reference::kFloat32))
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
  const auto executor = LoadExecutor(
      std::filesystem::path(REPRISE_DEPS_DIR) / "models" / "all-MiniLM-L6-v2", precision, {});
  if (executor == nullptr) return -1;
  const nlohmann::json oracle = ReadJson(kData / "minilm_oracle.json");
  std::vector<reference::Sequence> batch;
  for (const nlohmann::json& sentence : oracle.at("sentences")) {
    batch.push_back(reference::MakeSequence(sentence.at("input_ids")));
  }
  const std::vector<Answer> answers = AnswersOf(*executor, batch);
  double worst = 1;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::vector<double> published = oracle.at("sentences").at(i).at("sentence_embedding");
    const double cosine = Cosine(answers[i].sentence_embedding, published);
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
