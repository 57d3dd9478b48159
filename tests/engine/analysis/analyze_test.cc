#include "engine/analysis/analyze.h"

#include <memory>
#include <string>
#include <vector>

#include "engine/analysis/similarity_report.h"
#include "engine/architectures/bert_weights.h"
#include "engine/cpu_backend.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
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
    EXPECT_NEAR(three->mean(head, 1), one->mean(head, 1), 1e-12);
    EXPECT_GE(one->mean(head, 1), 0);
    EXPECT_LE(one->mean(head, 1), 1);
    EXPECT_NEAR(twice->mean(head, 1), once->mean(head, 1), 1e-12);
    EXPECT_NEAR(twice->standard_error(head, 1), 0, 1e-7);
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

TEST_F(AnalyzeTest, ReportsHoldTheTable) {
  const auto table = Analyze(texts_, 1);
  ASSERT_OK(table);
  const AnalysisSubject subject = {"<tiny> & co", 37, 12};
  const auto json = ToJson(*table, subject);
  const int all = table->layers() * table->heads();
  EXPECT_EQ(json["texts"], 6);
  EXPECT_EQ(json["tokens"], 37);
  ASSERT_EQ(json["similarity"].size(), all);
  ASSERT_EQ(json["similarity"][2].size(), all);
  EXPECT_EQ(json["similarity"][2][3], table->mean(2, 3));
  EXPECT_EQ(json["standard_error"][2][3], table->standard_error(2, 3));
  EXPECT_EQ(json["best_pairs"][1][0], table->BestPairs()[table->layers()]);
  EXPECT_EQ(json["ranked_matches"][0][1], table->RankedMatches()[1]);

  const std::string html = ToHtml(*table, subject);
  EXPECT_THAT(html, HasSubstr("&lt;tiny&gt; &amp; co"));
  EXPECT_THAT(html, ::testing::Not(HasSubstr("<tiny>")));
  EXPECT_THAT(html, ::testing::Not(HasSubstr("<script")));
  const auto count = [&](const std::string& what) {
    int found = 0;
    for (std::size_t at = html.find(what); at != html.npos; at = html.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("<svg"), 3);  // scale, best pairs, ranked matches
  EXPECT_EQ(count("<polyline"), table->heads());
  EXPECT_EQ(count("<rect"), 31 + table->layers() * table->layers());
  EXPECT_EQ(count("data:image/bmp;base64,Qk"), 1);  // "BM"
}

}  // namespace
}  // namespace reprise::engine::analysis
