#include "engine/analysis/analyze.h"

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/analysis/attention_maps.h"
#include "engine/architectures/bert_weights.h"
#include "engine/cpu_backend.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/tiny_model.h"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

class AnalyzeTest : public ::testing::Test {
 protected:
  AnalyzeTest() {
    architectures::BertConfig config = TinyConfig();
    config.plan = *reuse::ReusePlan::Exact(config.num_layers, config.num_heads);
    model_ = TinyModel(Precision::kF32, config);
    for (int length : {5, 1, 12, 3, 9, 7}) {
      std::vector<std::int32_t>& text = texts_.emplace_back();
      for (int i = 0; i < length; ++i) text.push_back((7 * length + 3 * i) % config.vocab_size);
    }
  }
  absl::StatusOr<SimilarityTable> Analyze(const std::vector<std::vector<std::int32_t>>& texts,
                                          int threads) {
    return AnalyzeSimilarity(model_->config(), CpuWeights(*model_), texts,
                             {.threads = threads, .progress = progress_});
  }

  std::shared_ptr<const Model> model_;
  std::vector<std::vector<std::int32_t>> texts_;
  std::function<void(int, int)> progress_;
};

TEST_F(AnalyzeTest, CountsEveryTextOnceWhateverTheThreads) {
  std::vector<int> told;
  progress_ = [&](int done, int total) {
    told.push_back(done);
    EXPECT_EQ(total, 6);
  };
  const auto one = Analyze(texts_, 1);
  ASSERT_OK(one);
  EXPECT_EQ(told, (std::vector<int>{1, 2, 3, 4, 5, 6}));
  progress_ = nullptr;
  const auto three = Analyze(texts_, 3);
  ASSERT_OK(three);
  const auto twice = Analyze({texts_[0], texts_[0]}, 2);
  ASSERT_OK(twice);
  const auto once = Analyze({texts_[0]}, 1);
  ASSERT_OK(once);
  EXPECT_EQ(one->texts(), 6);
  EXPECT_EQ(three->texts(), 6);
  const int all = one->layers() * one->heads();
  for (int head = 0; head < all; ++head) {
    EXPECT_EQ(three->mean(head, 1), one->mean(head, 1));
    EXPECT_GE(one->mean(head, 1), 0);
    EXPECT_LE(one->mean(head, 1), 1);
    EXPECT_NEAR(twice->mean(head, 1), once->mean(head, 1), 1e-12);
    EXPECT_EQ(twice->standard_error(head, 1), 0);
  }
}

TEST_F(AnalyzeTest, BadTextsAreNamed) {
  EXPECT_THAT(Analyze({}, 1), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no text")));
  EXPECT_THAT(Analyze({texts_[0], {}}, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("text 1 has 0 tokens")));
  EXPECT_THAT(Analyze({std::vector<std::int32_t>(100000)}, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("100000 tokens")));
  EXPECT_THAT(Analyze({{0, 1 << 20}}, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1048576")));
}

TEST_F(AnalyzeTest, GoesOnWhereItStoppedToTheSameTable) {
  const auto whole = Analyze(texts_, 1);
  ASSERT_OK(whole);
  for (const int stop_after : {1, 2, 4, 6}) {
    SimilarityTable kept(whole->layers(), whole->heads());
    const auto go_on = [&](auto after_piece) {
      return ContinueSimilarity(model_->config(), CpuWeights(*model_), texts_, kept,
                                {.threads = 2, .progress = progress_}, after_piece);
    };
    const auto stopped = go_on([&](const SimilarityTable& so_far) {
      kept = so_far;
      return so_far.texts() >= stop_after ? absl::CancelledError("enough") : absl::OkStatus();
    });
    EXPECT_THAT(stopped, StatusIs(absl::StatusCode::kCancelled, HasSubstr("enough")));
    EXPECT_GE(kept.texts(), stop_after);
    std::vector<int> told;
    progress_ = [&](int done, int total) {
      told.push_back(done);
      EXPECT_EQ(total, 6);
    };
    const std::int64_t begun = kept.texts();
    const auto finished = go_on([](const SimilarityTable&) { return absl::OkStatus(); });
    ASSERT_OK(finished);
    EXPECT_EQ(told.size(), 6 - begun);
    if (!told.empty()) {
      EXPECT_EQ(told.front(), begun + 1);
    }
    progress_ = nullptr;
    // To the bit.
    EXPECT_EQ(finished->texts(), 6);
    EXPECT_EQ(finished->sums().similarities, whole->sums().similarities);
    EXPECT_EQ(finished->sums().squares, whole->sums().squares);
  }
}

TEST_F(AnalyzeTest, MapsAreTheAttentionOfTheTextAndItsSimilarity) {
  const std::vector<HeadPair> pairs = {{{1, 2}, {0, 3}}, {{3, 0}, {3, 1}}};
  const std::vector<std::string> tokens = {"a", "b", "c", "d", "e"};
  const auto maps = CaptureMaps(model_->config(), CpuWeights(*model_), texts_[0], tokens, pairs);
  ASSERT_OK(maps);
  const auto table = Analyze({texts_[0]}, 1);
  ASSERT_OK(table);
  EXPECT_EQ(maps->tokens, tokens);
  ASSERT_EQ(maps->pairs.size(), 2);
  for (int i = 0; i < 2; ++i) {
    const PairMaps& pair = maps->pairs[i];
    EXPECT_EQ(pair.heads, pairs[i]);
    ASSERT_EQ(pair.first.size(), 25);
    ASSERT_EQ(pair.second.size(), 25);
    double distance = 0;
    for (int query = 0; query < 5; ++query) {
      double sum = 0;
      for (int key = 0; key < 5; ++key) {
        sum += pair.first[5 * query + key];
        distance += std::abs(double{pair.first[5 * query + key]} - pair.second[5 * query + key]);
      }
      EXPECT_NEAR(sum, 1, 1e-6);
    }
    EXPECT_NEAR(pair.similarity, 1 - distance / 2 / 5, 1e-6);
    const int heads = table->heads();
    EXPECT_EQ(pair.similarity, table->mean(pairs[i].first.layer * heads + pairs[i].first.head,
                                           pairs[i].second.layer * heads + pairs[i].second.head));
  }
}

}  // namespace
}  // namespace reprise::engine::analysis
