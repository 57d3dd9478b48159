#include "engine/analysis/similarity_report.h"

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "engine/analysis/source_choice.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::analysis {
namespace {

using Json = nlohmann::ordered_json;

Json Rows(int rows, int columns, const std::function<Json(int, int)>& value) {
  Json all = Json::array();
  for (int row = 0; row < rows; ++row) {
    Json one = Json::array();
    for (int column = 0; column < columns; ++column) one.push_back(value(row, column));
    all.push_back(std::move(one));
  }
  return all;
}

Json ToJson(reuse::HeadRef head) { return Json::array({head.layer, head.head}); }

Json BestPairsOf(const SimilarityTable& table) {
  const std::vector<double> best = table.BestPairs();
  return Rows(table.layers(), table.layers(),
              [&](int row, int column) { return best[row * table.layers() + column]; });
}

Json BestPairHeadsOf(const SimilarityTable& table) {
  return Rows(table.layers(), table.layers(), [&](int row, int column) {
    const SimilarityTable::Pair best = table.BestPair(row, column);
    return Json::array({best.head % table.heads(), best.other % table.heads()});
  });
}

Json RankedMatchesOf(const SimilarityTable& table) {
  const std::vector<double> ranked = table.RankedMatches();
  return Rows(table.layers() - 1, table.heads(),
              [&](int row, int column) { return ranked[row * table.heads() + column]; });
}

Json RandomToJson(const RandomBaseline& random) {
  return {{"seed", random.seed},
          {"best_pairs", BestPairsOf(random.table)},
          {"ranked_matches", RankedMatchesOf(random.table)}};
}

Json ReuseToJson(const ReuseChoice& reuse, const SimilarityTable& table) {
  Json reused = Json::array();
  double sum = 0;
  for (int layer = 0; layer < table.layers(); ++layer) {
    for (int head = 0; head < table.heads(); ++head) {
      if (reuse.plan.is_computed(layer, head)) continue;
      const reuse::HeadRef source = reuse.plan.source(layer, head);
      const double similarity =
          table.mean(layer * table.heads() + head, source.layer * table.heads() + source.head);
      sum += similarity;
      reused.push_back({{"layer", layer},
                        {"head", head},
                        {"source_layer", source.layer},
                        {"source_head", source.head},
                        {"similarity", similarity}});
    }
  }
  const double mean = reused.empty() ? 1 : sum / static_cast<double>(reused.size());
  return {{"budget", reuse.budget}, {"mean_similarity", mean}, {"reused_heads", reused}};
}

Json MatrixToJson(const std::vector<float>& matrix, int tokens) {
  return Rows(tokens, tokens, [&](int query, int key) {
    return std::round(1e4 * matrix[static_cast<std::size_t>(query) * tokens + key]) / 1e4;
  });
}

Json PairsToJson(const AttentionMaps& maps, const SimilarityTable& table) {
  const int tokens = static_cast<int>(maps.tokens.size());
  Json pairs = Json::array();
  for (const PairMaps& pair : maps.pairs) {
    const int first = pair.heads.first.layer * table.heads() + pair.heads.first.head;
    const int second = pair.heads.second.layer * table.heads() + pair.heads.second.head;
    pairs.push_back({{"first", ToJson(pair.heads.first)},
                     {"second", ToJson(pair.heads.second)},
                     {"similarity", table.mean(first, second)},
                     {"standard_error", table.standard_error(first, second)},
                     {"similarity_on_text", pair.similarity},
                     {"attention_first", MatrixToJson(pair.first, tokens)},
                     {"attention_second", MatrixToJson(pair.second, tokens)}});
  }
  return pairs;
}

}  // namespace

absl::StatusOr<ReuseChoice> ChooseReuse(const SimilarityTable& table, double budget) {
  const int reused = static_cast<int>(std::lround(budget * table.layers() * table.heads()));
  REPRISE_ASSIGN_OR_RETURN(
      reuse::ReusePlan plan,
      ChooseSources(table.layers(), table.heads(), reused, [&](int target, int source) {
        return table.texts() == 0 ? 0 : 1 - table.mean(target, source);
      }));
  return ReuseChoice{budget, std::move(plan)};
}

Json ToJson(const SimilarityReport& report) {
  const SimilarityTable& table = report.table;
  const int all = table.layers() * table.heads();
  Json json = {{"format", 2},
               {"model", report.subject.model},
               {"texts", table.texts()},
               {"tokens", report.subject.tokens},
               {"max_tokens", report.subject.max_tokens},
               {"layers", table.layers()},
               {"heads", table.heads()},
               {"standard_errors_of_95_percent", table.standard_errors_of_95_percent()},
               {"best_pairs", BestPairsOf(table)},
               {"best_pair_heads", BestPairHeadsOf(table)},
               {"ranked_matches", RankedMatchesOf(table)}};
  if (report.random) json["random_weights"] = RandomToJson(*report.random);
  if (report.reuse) json["reuse"] = ReuseToJson(*report.reuse, table);
  if (!report.maps.pairs.empty()) {
    json["pair_text"] = report.maps.tokens;
    json["pairs"] = PairsToJson(report.maps, table);
  }
  json["similarity"] = Rows(all, all, [&](int i, int j) { return table.mean(i, j); });
  json["standard_error"] = Rows(all, all, [&](int i, int j) { return table.standard_error(i, j); });
  return json;
}

}  // namespace reprise::engine::analysis
