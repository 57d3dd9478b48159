// What was measured as JSON and as a page: similarity_report.h, report_page.h.
#include "engine/analysis/report_page.h"

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/analysis/similarity_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

// Of `texts` texts with random similarities.
SimilarityTable RandomTable(int layers, int heads, int texts, int seed) {
  std::mt19937 random(seed);
  const int all = layers * heads;
  SimilarityTable::Sums sums;
  sums.texts = texts;
  for (int pair = 0; pair < all * (all - 1) / 2; ++pair) {
    std::uint64_t sum = 0;
    absl::uint128 square = 0;
    for (int text = 0; text < texts; ++text) {
      const std::uint64_t value = random();
      sum += value;
      square += absl::uint128(value) * value;
    }
    sums.similarities.push_back(sum);
    sums.squares.push_back(square);
  }
  return *SimilarityTable::FromSums(layers, heads, sums);
}

int Count(const std::string& text, const std::string& what) {
  int found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

class ReportPageTest : public ::testing::Test {
 protected:
  static constexpr int kLayers = 4, kHeads = 3, kAll = kLayers * kHeads;

  SimilarityReport Report() {
    SimilarityReport report = {.subject = {"<tiny> & co", 37, 12},
                               .table = RandomTable(kLayers, kHeads, 6, 1),
                               .random = RandomBaseline{5, RandomTable(kLayers, kHeads, 6, 2)},
                               .maps = {},
                               .reuse = {}};
    report.maps.tokens = {"[CLS]", "<script>", "\"&"};
    report.maps.pairs.push_back({{{1, 2}, {0, 1}},
                                 0.5,
                                 {1, 0, 0, 0.25f, 0.75f, 0, 0, 0, 1},
                                 {0, 1, 0, 0.25f, 0.75f, 0, 0, 0.5f, 0.5f}});
    report.reuse = *ChooseReuse(report.table, 0.25);
    return report;
  }
};

TEST_F(ReportPageTest, JsonHoldsWhatWasMeasured) {
  const SimilarityReport report = Report();
  const auto json = ToJson(report);
  EXPECT_EQ(json["format"], 2);
  EXPECT_EQ(json["model"], "<tiny> & co");
  EXPECT_EQ(json["texts"], 6);
  EXPECT_EQ(json["tokens"], 37);
  EXPECT_EQ(json["max_tokens"], 12);
  EXPECT_EQ(json["layers"], kLayers);
  EXPECT_EQ(json["heads"], kHeads);
  EXPECT_NEAR(json["standard_errors_of_95_percent"], 2.571, 0.001);
  ASSERT_EQ(json["similarity"].size(), kAll);
  ASSERT_EQ(json["standard_error"].size(), kAll);
  for (int i = 0; i < kAll; ++i) {
    for (int j = 0; j < kAll; ++j) {
      EXPECT_EQ(json["similarity"][i][j], report.table.mean(i, j));
      EXPECT_EQ(json["standard_error"][i][j], report.table.standard_error(i, j));
    }
  }
  const auto best = report.table.BestPairs();
  for (int row = 0; row < kLayers; ++row) {
    for (int column = 0; column < kLayers; ++column) {
      EXPECT_EQ(json["best_pairs"][row][column], best[row * kLayers + column]);
      const int head = json["best_pair_heads"][row][column][0];
      const int other = json["best_pair_heads"][row][column][1];
      EXPECT_EQ(report.table.mean(row * kHeads + head, column * kHeads + other),
                best[row * kLayers + column]);
    }
  }
  EXPECT_EQ(json["ranked_matches"][0][1], report.table.RankedMatches()[1]);
  EXPECT_EQ(json["random_weights"]["seed"], 5);
  EXPECT_EQ(json["random_weights"]["best_pairs"][1][0], report.random->table.BestPairs()[kLayers]);
  EXPECT_EQ(json["random_weights"]["ranked_matches"][2][2],
            report.random->table.RankedMatches()[8]);
}

TEST_F(ReportPageTest, JsonHoldsPairsAndWhatAPlanReuses) {
  const SimilarityReport report = Report();
  const auto json = ToJson(report);
  EXPECT_EQ(json["pair_text"], report.maps.tokens);
  ASSERT_EQ(json["pairs"].size(), 1);
  const auto& pair = json["pairs"][0];
  EXPECT_EQ(pair["first"], (std::vector<int>{1, 2}));
  EXPECT_EQ(pair["second"], (std::vector<int>{0, 1}));
  EXPECT_EQ(pair["similarity"], report.table.mean(5, 1));
  EXPECT_EQ(pair["standard_error"], report.table.standard_error(5, 1));
  EXPECT_EQ(pair["similarity_on_text"], 0.5);
  EXPECT_EQ(pair["attention_first"][1][1], 0.75);
  EXPECT_EQ(pair["attention_second"][0][1], 1);

  EXPECT_EQ(json["reuse"]["budget"], 0.25);
  const auto& reused = json["reuse"]["reused_heads"];
  ASSERT_EQ(reused.size(), 3);  // a quarter of 12
  double sum = 0;
  for (const auto& head : reused) {
    EXPECT_LT(head["source_layer"], head["layer"]);
    const int target = head["layer"].get<int>() * kHeads + head["head"].get<int>();
    const int source = head["source_layer"].get<int>() * kHeads + head["source_head"].get<int>();
    EXPECT_EQ(head["similarity"], report.table.mean(target, source));
    sum += head["similarity"].get<double>();
  }
  EXPECT_NEAR(json["reuse"]["mean_similarity"], sum / 3, 1e-12);
}

TEST_F(ReportPageTest, ThePageHasEveryPictureAndNothingElseToLoad) {
  const std::string html = ToHtml(Report());
  EXPECT_THAT(html, HasSubstr("&lt;tiny&gt; &amp; co"));
  EXPECT_THAT(html, Not(HasSubstr("<tiny>")));
  for (const char* none :
       {"<script", "<a ", "<link", "http:", "https:", "url(", "@import", "onload"}) {
    EXPECT_THAT(html, Not(HasSubstr(none)));
  }
  for (const char* id : {"scale", "best-pairs", "ranked-matches", "trained-pairs", "random-pairs",
                         "baseline", "attention-scale", "pair-1", "reuse-grid", "table"}) {
    EXPECT_EQ(Count(html, std::string("<svg id=\"") + id + "\""), 1) << id;
  }
  EXPECT_EQ(Count(html, "<svg"), 10);
  EXPECT_EQ(Count(html, "</svg>"), 10);
  EXPECT_EQ(Count(html, "role=\"img\" aria-labelledby="), 10);
  EXPECT_EQ(Count(html, "<polyline"), kHeads + 4);
  EXPECT_EQ(Count(html, "data:image/bmp;base64,Qk"), 1);  // "BM"
  EXPECT_THAT(html, HasSubstr("<h3>2.3 and 1.2: "));
}

// The matrices of the pair, cell by cell.
TEST_F(ReportPageTest, PairsAreDrawnCellByCell) {
  const std::string html = ToHtml(Report());
  const auto part = [&](const std::string& name) {
    const std::size_t begin = html.find("<g class=\"" + name + "\"");
    return html.substr(begin, html.find("</g>", begin) - begin);
  };
  // Attention 1 is the darkest colour; columns are keys, rows queries.
  EXPECT_THAT(part("first"), HasSubstr("<path fill=\"#0f1e5a\" d=\"M0 0h1v1h-1zM2 2h1v1h-1z\"/>"));
  EXPECT_THAT(part("second"), HasSubstr("<path fill=\"#0f1e5a\" d=\"M1 0h1v1h-1z\"/>"));
  EXPECT_THAT(part("difference"), HasSubstr("<path fill=\"#aa1428\" d=\"M0 0h1v1h-1z\"/>"));
  EXPECT_THAT(part("difference"), HasSubstr("<path fill=\"#1446a0\" d=\"M1 0h1v1h-1z\"/>"));
  for (const char* name : {"first", "second", "difference"}) {
    EXPECT_EQ(Count(part(name), "h1v1h-1z"), 9);
  }
}

TEST_F(ReportPageTest, WhatWasNotMeasuredIsLeftOut) {
  SimilarityReport report = Report();
  report.random.reset();
  report.reuse.reset();
  report.maps = {};
  const auto json = ToJson(report);
  for (const char* key : {"random_weights", "reuse", "pairs", "pair_text"}) {
    EXPECT_FALSE(json.contains(key)) << key;
  }
  const std::string html = ToHtml(report);
  EXPECT_EQ(Count(html, "<svg"), 4);
  EXPECT_THAT(html, Not(HasSubstr("random")));
}

TEST_F(ReportPageTest, ModelsOfAnyShapeHaveAPage) {
  for (const auto& [layers, heads] : {std::pair(1, 1), {1, 4}, {2, 1}, {24, 16}, {96, 2}}) {
    SimilarityReport report = {.subject = {"model", 1, 1},
                               .table = RandomTable(layers, heads, 1, 3),
                               .random = {},
                               .maps = {},
                               .reuse = {}};
    if (layers > 1) report.reuse = *ChooseReuse(report.table, 0.25);
    const std::string html = ToHtml(report);
    EXPECT_EQ(Count(html, "<svg"), layers > 1 ? 5 : 3) << layers << " x " << heads;
    EXPECT_THAT(html, Not(HasSubstr("nan")));
    EXPECT_THAT(html, HasSubstr("One text says nothing"));
    EXPECT_THAT(html, HasSubstr("</html>"));
  }
}

TEST_F(ReportPageTest, ABudgetThatNoPlanCanHaveIsRefused) {
  const SimilarityTable table = RandomTable(kLayers, kHeads, 2, 1);
  EXPECT_THAT(ChooseReuse(table, 0.9),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 0 to 9")));
  EXPECT_EQ(ChooseReuse(table, 0.75)->plan.num_reused_heads(), 9);
  EXPECT_EQ(ChooseReuse(table, 0)->plan.num_reused_heads(), 0);
}

}  // namespace
}  // namespace reprise::engine::analysis
