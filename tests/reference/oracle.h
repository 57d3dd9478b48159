// The answers in tests/data that other people's implementations gave: tests/oracle/ says how.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/reference/bert.h"

namespace reprise::reference {

// The layers of the paper's authors, run by TensorFlow in float32: checkpoints by their kind of
// reuse, each with a few texts.
const std::vector<std::string>& ReuseOracleNames();
std::filesystem::path ReuseOracleDirectory(const std::string& name);

struct ReuseOracleText {
  Sequence sequence;                      // its real tokens, packed
  std::vector<double> last_hidden_state;  // [tokens, hidden_size]
};
std::vector<ReuseOracleText> ReadReuseOracle(const std::string& name);

// The published sentence encoder, run by sentence-transformers in float64.
std::filesystem::path DemoModelDirectory();

struct DemoSentence {
  std::string text;
  std::vector<int> input_ids;
  std::vector<double> sentence_embedding;
  std::vector<double> pooler_output;  // its first values only
};
std::vector<DemoSentence> ReadDemoOracle();

}  // namespace reprise::reference
