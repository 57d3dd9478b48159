#include "engine/analysis/baseline_figure.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/analysis/line_chart.h"
#include "engine/analysis/svg.h"

namespace reprise::engine::analysis {
namespace {

void AddLines(const SimilarityTable& table, const std::string& weights, const Color& color,
              const Color& paler, LineChart* chart) {
  const int heads = table.heads();
  const std::vector<double> ranked = table.RankedMatches();
  std::vector<double> best, average;
  for (int layer = 0; layer + 1 < table.layers(); ++layer) {
    double sum = 0;
    for (int rank = 0; rank < heads; ++rank) sum += ranked[layer * heads + rank];
    average.push_back(sum / heads);
    best.push_back(ranked[layer * heads + heads - 1]);
  }
  const auto add = [&](const std::vector<double>& values, const Color& with, const char* what) {
    chart->Line(values, with, absl::StrCat(weights, ", ", what),
                absl::StrCat(Fixed(values.back(), 2), " ", weights, ", ", what));
  };
  add(best, color, "best head");
  add(average, paler, "average head");
}

}  // namespace

std::string BaselinePicture(const SimilarityTable& trained, const SimilarityTable& random) {
  LineChart chart("baseline", "Similarity of neighbouring layers, trained and with random weights",
                  2, trained.layers() - 1);
  AddLines(trained, "trained", {20, 70, 160}, {110, 160, 220}, &chart);
  AddLines(random, "random", {190, 80, 10}, {235, 165, 90}, &chart);
  return std::move(chart).Finish();
}

}  // namespace reprise::engine::analysis
