#include "engine/analysis/similarity_table.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/aligned_floats.h"

namespace reprise::engine::analysis {
namespace {

constexpr int kLayers = 3;
constexpr int kHeads = 5;  // not a multiple of the rows that are taken at once

// Rows that sum up to 1, some flat and some sharp, and their similarities by the paper's equation
// in plain double loops.
class Text {
 public:
  Text(int seq_len, std::mt19937& random)
      : seq_len_(seq_len),
        stride_((seq_len + 15) / 16 * 16),
        probs_(kLayers * kHeads * seq_len * stride_) {
    for (int row = 0; row < kLayers * kHeads * seq_len; ++row) {
      float* values = probs_.data() + row * stride_;
      const float sharpness = std::uniform_real_distribution<float>(0, 6)(random);
      float sum = 0;
      for (int key = 0; key < seq_len; ++key) {
        values[key] = std::exp(sharpness * std::normal_distribution<float>()(random));
        sum += values[key];
      }
      for (int key = 0; key < seq_len; ++key) values[key] /= sum;
    }
  }
  CapturedScores scores() const { return {seq_len_, stride_, probs_.data(), nullptr, {}}; }
  double Similarity(int head, int other) const {
    double distance = 0;
    for (int query = 0; query < seq_len_; ++query) {
      for (int key = 0; key < seq_len_; ++key) {
        distance += std::abs(double{scores().row(head, query)[key]} -
                             double{scores().row(other, query)[key]});
      }
    }
    return 1 - distance / 2 / seq_len_;
  }

 private:
  int seq_len_;
  std::int64_t stride_;
  testing::AlignedFloats probs_;
};

class SimilarityTableTest : public ::testing::Test {
 protected:
  SimilarityTableTest() {
    std::mt19937 random(1);
    for (const int seq_len : {1, 7, 16, 33, 200}) texts_.emplace_back(seq_len, random);
    for (const Text& text : texts_) table_.Add(text.scores());
  }
  std::vector<Text> texts_;
  SimilarityTable table_{kLayers, kHeads};
};

TEST_F(SimilarityTableTest, HoldsMeanAndStandardErrorOfThePapersMeasure) {
  EXPECT_EQ(table_.texts(), 5);
  for (int head = 0; head < kLayers * kHeads; ++head) {
    for (int other = 0; other < kLayers * kHeads; ++other) {
      std::vector<double> all;
      for (const Text& text : texts_) all.push_back(text.Similarity(head, other));
      double mean = 0, variance = 0;
      for (const double one : all) mean += one / 5;
      for (const double one : all) variance += (one - mean) * (one - mean) / 4;
      EXPECT_NEAR(table_.mean(head, other), mean, 1e-6);
      EXPECT_NEAR(table_.standard_error(head, other), std::sqrt(variance / 5), 1e-6);
    }
  }
}

TEST_F(SimilarityTableTest, PartsMergeToTheWhole) {
  SimilarityTable first(kLayers, kHeads), second(kLayers, kHeads);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    (i % 2 == 0 ? first : second).Add(texts_[i].scores());
  }
  first.Merge(second);
  EXPECT_EQ(first.texts(), table_.texts());
  for (int head = 0; head < kLayers * kHeads; ++head) {
    EXPECT_EQ(first.mean(head, 3), table_.mean(head, 3));
    EXPECT_EQ(first.standard_error(head, 3), table_.standard_error(head, 3));
  }
}

TEST_F(SimilarityTableTest, BestPairsAndRankedMatchesReduceTheTable) {
  const std::vector<double> best = table_.BestPairs();
  const std::vector<double> ranked = table_.RankedMatches();
  ASSERT_EQ(best.size(), kLayers * kLayers);
  ASSERT_EQ(ranked.size(), (kLayers - 1) * kHeads);
  for (int layer = 0; layer < kLayers; ++layer) {
    EXPECT_EQ(best[layer * kLayers + layer], 1);
    for (int other = 0; other < kLayers; ++other) {
      double expected = 0;
      for (int i = 0; i < kHeads * kHeads; ++i) {
        expected = std::max(expected,
                            table_.mean(layer * kHeads + i / kHeads, other * kHeads + i % kHeads));
      }
      EXPECT_EQ(best[layer * kLayers + other], expected);
    }
  }
  for (int layer = 1; layer < kLayers; ++layer) {
    const auto begin = ranked.begin() + (layer - 1) * kHeads;
    EXPECT_TRUE(std::is_sorted(begin, begin + kHeads));
    // The best of all is the layers' best pair.
    EXPECT_EQ(begin[kHeads - 1], best[layer * kLayers + layer - 1]);
  }
}

TEST_F(SimilarityTableTest, BestPairIsTheOneThatBestPairsCounts) {
  const std::vector<double> best = table_.BestPairs();
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int other = 0; other < kLayers; ++other) {
      const SimilarityTable::Pair pair = table_.BestPair(layer, other);
      EXPECT_EQ(pair.head / kHeads, layer);
      EXPECT_EQ(pair.other / kHeads, other);
      EXPECT_EQ(table_.mean(pair.head, pair.other), best[layer * kLayers + other]);
    }
  }
}

// Quantiles of Student's distribution as tables have them.
TEST(SimilarityTable, FewTextsMakeWiderIntervals) {
  const auto standard_errors = [](std::int64_t texts) {
    SimilarityTable::Sums sums;
    sums.texts = texts;
    sums.similarities = {0};
    sums.squares = {0};
    return SimilarityTable::FromSums(2, 1, sums)->standard_errors_of_95_percent();
  };
  EXPECT_EQ(standard_errors(0), 0);
  EXPECT_EQ(standard_errors(1), 0);
  EXPECT_NEAR(standard_errors(2), 12.706, 0.001);
  EXPECT_NEAR(standard_errors(3), 4.303, 0.001);
  EXPECT_NEAR(standard_errors(4), 3.182, 0.007);
  EXPECT_NEAR(standard_errors(6), 2.571, 0.001);
  EXPECT_NEAR(standard_errors(11), 2.228, 0.001);
  EXPECT_NEAR(standard_errors(31), 2.042, 0.001);
  EXPECT_NEAR(standard_errors(1000), 1.962, 0.001);
}

TEST(SimilarityTable, EqualAttentionIsOneAndDisjointAttentionIsZero) {
  testing::AlignedFloats probs(2 * 16);
  probs.data()[0] = 1;       // head 0 looks at key 0
  probs.data()[16 + 1] = 1;  // head 1 at key 1
  SimilarityTable table(2, 1);
  table.Add({1, 16, probs.data(), nullptr, {}});
  EXPECT_EQ(table.mean(0, 1), 0);
  EXPECT_EQ(table.mean(0, 0), 1);
  EXPECT_EQ(table.standard_error(0, 1), 0);
}

}  // namespace
}  // namespace reprise::engine::analysis
