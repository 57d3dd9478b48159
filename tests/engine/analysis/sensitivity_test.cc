#include "engine/analysis/sensitivity.h"

#include <cmath>
#include <vector>

#include "engine/analysis/head_statistics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/analysis/loaded_model.h"

namespace reprise::engine::analysis {
namespace {

using reference::BertModel;
using reference::Random;

double OneMinusCosine(const std::vector<double>& a, const std::vector<double>& b) {
  double product = 0, a_squares = 0, b_squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += a[i] * b[i];
    a_squares += a[i] * a[i];
    b_squares += b[i] * b[i];
  }
  return 1 - product / std::sqrt(a_squares * b_squares);
}

class SensitivityTest : public ::testing::TestWithParam<reference::Pooling> {};
INSTANTIATE_TEST_SUITE_P(Pooling, SensitivityTest,
                         ::testing::Values(reference::Pooling::kMean, reference::Pooling::kCls));

TEST_P(SensitivityTest, IsTheChangeOfAnswersByTheChangeOfTheLayersOutput) {
  Random random{21};
  BertModel model = MakeConvertedPair(false, random).original;
  model.config.pooling = GetParam();
  const auto loaded = Load(model);
  const auto texts = RandomTexts(model.config, 12, random);
  const auto outputs = ReadHeadOutputs(loaded->config, *loaded->checkpoint);
  ASSERT_OK(outputs);
  const auto statistics = MeasureHeadStatistics(loaded->config, loaded->weights, *outputs, texts,
                                                {.threads = 1, .progress = {}});
  ASSERT_OK(statistics);
  const OutputErrors& errors = statistics->errors;
  const auto sensitivity = MeasureSensitivity(loaded->config, loaded->weights, *outputs, errors,
                                              texts, {.threads = 2, .progress = {}});
  ASSERT_OK(sensitivity);
  ASSERT_EQ(sensitivity->size(), 12);
  for (int head = 0; head < 4; ++head) EXPECT_EQ((*sensitivity)[head], 0);
  for (int head = 4; head < 12; ++head) {
    int best = 0;
    for (int source = 1; source < head / 4 * 4; ++source) {
      if (errors.unscaled_error(head, source) < errors.unscaled_error(head, best)) best = source;
    }
    BertModel changed = model;
    ReuseScores(changed, head / 4, head % 4, {best / 4, best % 4});
    double change = 0;
    for (const auto& text : texts) {
      change += OneMinusCosine(reference::Forward(model, SequenceOf(text)).sentence_embedding,
                               reference::Forward(changed, SequenceOf(text)).sentence_embedding) /
                static_cast<double>(texts.size());
    }
    const double expected = change / errors.unscaled_error(head, best);
    // 1 - cos of fp32 states: the difference of nearly equal numbers.
    EXPECT_NEAR((*sensitivity)[head], expected, 1e-3 * expected + 1e-6) << "head " << head;
  }
}

}  // namespace
}  // namespace reprise::engine::analysis
