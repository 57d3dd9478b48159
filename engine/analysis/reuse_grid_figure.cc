#include "engine/analysis/reuse_grid_figure.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/analysis/head_pairs.h"
#include "engine/analysis/similarity_figures.h"
#include "engine/analysis/svg.h"

namespace reprise::engine::analysis {
namespace {

constexpr Color kOwn = {226, 226, 226};   // computes its scores for itself
constexpr Color kRead = {255, 255, 255};  // and for others

// Readers of each head, by layer * heads + head.
std::vector<int> CountReaders(const reuse::ReusePlan& plan) {
  std::vector<int> readers(static_cast<std::size_t>(plan.num_layers()) * plan.num_heads());
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    for (int head = 0; head < plan.num_heads(); ++head) {
      const reuse::HeadRef source = plan.source(layer, head);
      if (!plan.is_computed(layer, head)) ++readers[source.layer * plan.num_heads() + source.head];
    }
  }
  return readers;
}

struct Cell {
  Color color;
  std::string text;
  std::string tip;
};

Cell CellOf(const reuse::ReusePlan& plan, const SimilarityTable& table, int layer, int head,
            int readers) {
  const int heads = plan.num_heads(), number = layer * heads + head;
  const std::string name = NameOf({layer, head});
  if (!plan.is_computed(layer, head)) {
    const reuse::HeadRef source = plan.source(layer, head);
    const int from = source.layer * heads + source.head;
    return {SimilarityColor(table.mean(number, from)), NameOf(source),
            absl::StrCat("head ", name, " takes the scores of ", NameOf(source), ": similarity ",
                         MeanText(table, number, from))};
  }
  if (readers == 0) return {kOwn, "", absl::StrCat("head ", name, " computes its own scores")};
  return {kRead, absl::StrCat("\xc3\x97", readers),
          absl::StrCat("head ", name, " computes its own scores, read by ", readers,
                       readers == 1 ? " later head" : " later heads")};
}

}  // namespace

std::string ReuseGridPicture(const reuse::ReusePlan& plan, const SimilarityTable& table) {
  constexpr double kMargin = 34, kCellHeight = 26;
  const int layers = plan.num_layers(), heads = plan.num_heads();
  const double width = std::min(48.0, 790.0 / heads);
  Picture picture("reuse-grid", "Which heads would take whose attention scores",
                  kMargin + heads * width + 4, kMargin + layers * kCellHeight + 4);
  for (int head = 0; head < heads; ++head) {
    picture.Text(kMargin + (head + 0.5) * width, 26, Anchor::kMiddle, absl::StrCat(head + 1));
  }
  const std::vector<int> readers = CountReaders(plan);
  for (int layer = 0; layer < layers; ++layer) {
    const double y = kMargin + layer * kCellHeight;
    picture.Text(28, y + 17, Anchor::kEnd, absl::StrCat(layer + 1));
    for (int head = 0; head < heads; ++head) {
      const Cell cell = CellOf(plan, table, layer, head, readers[layer * heads + head]);
      const double x = kMargin + head * width;
      picture.Rect(x, y, width - 1, kCellHeight - 1, cell.color, cell.tip);
      if (cell.color == kRead) {
        picture.Element(absl::StrCat("<rect class=\"frame\" x=\"", Coordinate(x + 0.5), "\" y=\"",
                                     Coordinate(y + 0.5), "\" width=\"", Coordinate(width - 2),
                                     "\" height=\"", Coordinate(kCellHeight - 2), "\"/>"));
      }
      if (width >= 30) picture.TextOn(cell.color, x + width / 2 - 0.5, y + 17, cell.text);
    }
  }
  return std::move(picture).Finish();
}

}  // namespace reprise::engine::analysis
