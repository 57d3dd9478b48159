// The reference against answers that other people's implementations gave: tests/oracle/ says how.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/reference/checkpoint_reader.h"
#include "tests/reference/tolerance.h"

namespace reprise::reference {
namespace {

nlohmann::json ReadJson(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

const std::filesystem::path kData = REPRISE_TEST_DATA_DIR;

// The layers of the paper's authors, run by TensorFlow in float32.
class ReuseOracleTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Cases, ReuseOracleTest,
                         ::testing::Values("exact", "half", "chained", "full", "relative_pre_norm",
                                           "relative_full"),
                         [](const auto& info) { return info.param; });

TEST_P(ReuseOracleTest, AgreesWithTheAuthorsLayers) {
  const std::filesystem::path directory = kData / "reuse_oracle" / GetParam();
  const BertModel model = ReadCheckpoint(directory);
  const nlohmann::json expected = ReadJson(directory / "expected.json");
  const auto& answers = expected.at("last_hidden_state_of_real_tokens");
  ASSERT_EQ(answers.size(), 4);
  for (std::size_t row = 0; row < answers.size(); ++row) {
    Sequence padded = MakeSequence(expected.at("input_ids").at(row));
    padded.type_ids = expected.at("token_type_ids").at(row).get<std::vector<int>>();
    const std::vector<int> mask = expected.at("attention_mask").at(row);
    std::vector<double> answer;
    for (const nlohmann::json& token : answers.at(row)) {
      for (const double value : token) answer.push_back(value);
    }
    EXPECT_THAT(Flat(Forward(model, Pack(padded, mask)).last_hidden_state),
                AllClose(answer, kFloat32))
        << "row " << row;
  }
}

// The published sentence encoder, run by sentence-transformers in float64.
TEST(DemoModelTest, AnswersAsThePublishedModelDoes) {
  const BertModel model =
      ReadCheckpoint(std::filesystem::path(REPRISE_DEPS_DIR) / "models" / "all-MiniLM-L6-v2");
  const nlohmann::json oracle = ReadJson(kData / "minilm_oracle.json");
  // Eight significant digits were written, of values below 1.
  const Tolerance as_written = {1e-8, 1e-7};
  int num_compared = 0;
  for (const nlohmann::json& sentence : oracle.at("sentences")) {
    const std::vector<int> ids = sentence.at("input_ids");
    if (ids.size() > 50) continue;  // a plain loop takes seconds for the long ones
    SCOPED_TRACE(sentence.at("text").get<std::string>());
    BertOutputs outputs = Forward(model, MakeSequence(ids));
    EXPECT_THAT(outputs.sentence_embedding,
                AllClose(sentence.at("sentence_embedding").get<std::vector<double>>(), as_written));
    const std::vector<double> pooled = sentence.at("pooler_output");
    outputs.pooler_output.resize(pooled.size());
    EXPECT_THAT(outputs.pooler_output, AllClose(pooled, as_written));
    ++num_compared;
  }
  EXPECT_GE(num_compared, 15);
}

}  // namespace
}  // namespace reprise::reference
