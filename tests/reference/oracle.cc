#include "tests/reference/oracle.h"

#include <fstream>
#include <utility>

#include "nlohmann/json.hpp"

namespace reprise::reference {
namespace {

const std::filesystem::path kData = REPRISE_TEST_DATA_DIR;

nlohmann::json ReadJson(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

}  // namespace

const std::vector<std::string>& ReuseOracleNames() {
  static const std::vector<std::string> names = {
      "exact", "half", "chained", "full", "relative_pre_norm", "relative_full"};
  return names;
}

std::filesystem::path ReuseOracleDirectory(const std::string& name) {
  return kData / "reuse_oracle" / name;
}

std::vector<ReuseOracleText> ReadReuseOracle(const std::string& name) {
  const nlohmann::json expected = ReadJson(ReuseOracleDirectory(name) / "expected.json");
  const nlohmann::json& answers = expected.at("last_hidden_state_of_real_tokens");
  std::vector<ReuseOracleText> texts;
  for (std::size_t row = 0; row < answers.size(); ++row) {
    Sequence padded = MakeSequence(expected.at("input_ids").at(row));
    padded.type_ids = expected.at("token_type_ids").at(row).get<std::vector<int>>();
    ReuseOracleText text;
    text.sequence = Pack(padded, expected.at("attention_mask").at(row));
    for (const nlohmann::json& token : answers.at(row)) {
      for (const double value : token) text.last_hidden_state.push_back(value);
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

std::filesystem::path DemoModelDirectory() {
  return std::filesystem::path(REPRISE_DEPS_DIR) / "models" / "all-MiniLM-L6-v2";
}

std::vector<DemoSentence> ReadDemoOracle() {
  const nlohmann::json oracle = ReadJson(kData / "minilm_oracle.json");
  std::vector<DemoSentence> sentences;
  for (const nlohmann::json& sentence : oracle.at("sentences")) {
    sentences.push_back({sentence.at("text"), sentence.at("input_ids"),
                         sentence.at("sentence_embedding"), sentence.at("pooler_output")});
  }
  return sentences;
}

}  // namespace reprise::reference
