// The reference against answers that other people's implementations gave.
#include "tests/reference/oracle.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/checkpoint_reader.h"
#include "tests/reference/tolerance.h"

namespace reprise::reference {
namespace {

class ReuseOracleTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Cases, ReuseOracleTest, ::testing::ValuesIn(ReuseOracleNames()),
                         [](const auto& info) { return info.param; });

TEST_P(ReuseOracleTest, AgreesWithTheAuthorsLayers) {
  const BertModel model = ReadCheckpoint(ReuseOracleDirectory(GetParam()));
  const std::vector<ReuseOracleText> texts = ReadReuseOracle(GetParam());
  ASSERT_EQ(texts.size(), 4);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    EXPECT_THAT(Flat(Forward(model, texts[row].sequence).last_hidden_state),
                AllClose(texts[row].last_hidden_state, kFloat32))
        << "row " << row;
  }
}

TEST(DemoModelTest, AnswersAsThePublishedModelDoes) {
  const BertModel model = ReadCheckpoint(DemoModelDirectory());
  // Eight significant digits were written, of values below 1.
  const Tolerance as_written = {1e-8, 1e-7};
  int num_compared = 0;
  for (const DemoSentence& sentence : ReadDemoOracle()) {
    if (sentence.input_ids.size() > 50) continue;  // a plain loop takes seconds for the long ones
    SCOPED_TRACE(sentence.text);
    BertOutputs outputs = Forward(model, MakeSequence(sentence.input_ids));
    EXPECT_THAT(outputs.sentence_embedding, AllClose(sentence.sentence_embedding, as_written));
    outputs.pooler_output.resize(sentence.pooler_output.size());
    EXPECT_THAT(outputs.pooler_output, AllClose(sentence.pooler_output, as_written));
    ++num_compared;
  }
  EXPECT_GE(num_compared, 15);
}

}  // namespace
}  // namespace reprise::reference
