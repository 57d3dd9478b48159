#include "engine/analysis/similarity_figures.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/analysis/head_pairs.h"
#include "engine/analysis/line_chart.h"
#include "engine/analysis/svg.h"

namespace reprise::engine::analysis {
namespace {

std::string HeadName(const SimilarityTable& table, int head) {
  return NameOf({head / table.heads(), head % table.heads()});
}

void AppendLittleEndian(std::uint32_t value, int bytes, std::string* to) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

// An uncompressed Windows bitmap.
std::string BitmapOf(const SimilarityTable& table) {
  const int size = table.layers() * table.heads();
  const int row_bytes = (3 * size + 3) / 4 * 4;
  constexpr std::uint32_t kHeaderBytes = 54;
  std::string bitmap = "BM";
  AppendLittleEndian(kHeaderBytes + row_bytes * size, 4, &bitmap);
  AppendLittleEndian(0, 4, &bitmap);
  AppendLittleEndian(kHeaderBytes, 4, &bitmap);
  AppendLittleEndian(40, 4, &bitmap);
  AppendLittleEndian(size, 4, &bitmap);
  AppendLittleEndian(size, 4, &bitmap);
  AppendLittleEndian(1, 2, &bitmap);   // planes
  AppendLittleEndian(24, 2, &bitmap);  // bits of a pixel
  bitmap.append(24, '\0');
  for (int row = size - 1; row >= 0; --row) {  // from the bottom
    for (int column = 0; column < size; ++column) {
      const Color color = SimilarityColor(table.mean(row, column));
      for (int i = 2; i >= 0; --i) bitmap.push_back(static_cast<char>(color[i]));
    }
    bitmap.append(row_bytes - 3 * size, '\0');
  }
  return bitmap;
}

}  // namespace

std::string MeanText(const SimilarityTable& table, int head, int other) {
  const std::string mean = Fixed(table.mean(head, other), 2);
  if (head == other || table.texts() < 2) return mean;
  const double interval = table.standard_errors_of_95_percent() * table.standard_error(head, other);
  return absl::StrCat(mean, " \xc2\xb1 ",
                      Fixed(interval, interval < 0.00095  ? 4
                                      : interval < 0.0095 ? 3
                                                          : 2));
}

std::string BestPairsPicture(std::string_view id, const SimilarityTable& table, double width) {
  constexpr double kMargin = 34;
  const int layers = table.layers();
  const double cell = std::min(34.0, (width - kMargin - 4) / layers);
  const bool numbered = cell >= 26;
  const double size = kMargin + layers * cell + 4;
  Picture picture(id, "Similarity of the most alike pair of heads of every two layers", size, size);
  const int label_step = cell >= 18 ? 1 : 5;
  for (int row = 0; row < layers; ++row) {
    const double y = kMargin + row * cell;
    if ((row + 1) % label_step == 0) {
      picture.Text(28, y + cell / 2 + 4, Anchor::kEnd, absl::StrCat(row + 1));
      picture.Text(y + cell / 2, 26, Anchor::kMiddle, absl::StrCat(row + 1));
    }
    for (int column = 0; column < layers; ++column) {
      const SimilarityTable::Pair best = table.BestPair(row, column);
      const double value = table.mean(best.head, best.other);
      const double x = kMargin + column * cell;
      const Color color = SimilarityColor(value);
      picture.Rect(x, y, cell - 1, cell - 1, color,
                   row == column ? absl::StrCat("layer ", row + 1, " and itself: 1")
                                 : absl::StrCat("heads ", HeadName(table, best.head), " and ",
                                                HeadName(table, best.other), ": ",
                                                MeanText(table, best.head, best.other)));
      if (numbered) picture.TextOn(color, x + cell / 2, y + cell / 2 + 4, Fixed(value, 2));
    }
  }
  return std::move(picture).Finish();
}

std::string RankedMatchesPicture(const SimilarityTable& table) {
  const int steps = table.layers() - 1, heads = table.heads();
  const std::vector<double> ranked = table.RankedMatches();
  LineChart chart("ranked-matches", "Similarity of each layer's heads to the layer before, by rank",
                  2, steps);
  for (int rank = 0; rank < heads; ++rank) {
    std::vector<double> values;
    for (int layer = 0; layer < steps; ++layer) values.push_back(ranked[layer * heads + rank]);
    // Light yellow would hardly show on white.
    const Color color = SimilarityColor(heads == 1 ? 0.5 : 0.85 * rank / (heads - 1));
    const bool named = rank == 0 || rank == heads - 1;
    const std::string name = absl::StrCat("rank ", rank + 1, " of ", heads);
    chart.Line(values, color, name,
               named ? absl::StrCat(Fixed(values.back(), 2),
                                    rank == heads - 1 ? " most alike" : " least alike")
                     : "");
  }
  return std::move(chart).Finish();
}

std::string TablePicture(const SimilarityTable& table) {
  constexpr double kMargin = 34;
  const int size = table.layers() * table.heads();
  const double shown = size * std::max(1, 720 / size);
  Picture picture("table", "Similarity of all pairs of heads, layer by layer", kMargin + shown + 2,
                  kMargin + shown + 2);
  picture.Element(absl::StrCat("<image x=\"", kMargin, "\" y=\"", kMargin, "\" width=\"", shown,
                               "\" height=\"", shown,
                               "\" preserveAspectRatio=\"none\" href=\"data:image/bmp;base64,",
                               absl::Base64Escape(BitmapOf(table)), "\"/>"));
  const double layer_size = shown / table.layers();
  for (int layer = 0; layer < table.layers(); ++layer) {
    const double begin = kMargin + layer * layer_size, middle = begin + layer_size / 2;
    picture.Text(28, middle + 4, Anchor::kEnd, absl::StrCat(layer + 1));
    picture.Text(middle, 26, Anchor::kMiddle, absl::StrCat(layer + 1));
    if (layer == 0) continue;
    picture.Element(absl::StrCat("<path class=\"border\" d=\"M", Coordinate(begin), " ", kMargin,
                                 "v", shown, "M", kMargin, " ", Coordinate(begin), "h", shown,
                                 "\"/>"));
  }
  return std::move(picture).Finish();
}

std::string SimilarityScale() {
  Picture picture("scale", "Colours of similarity from 0 to 1", 420, 34);
  for (int i = 0; i <= 32; ++i) picture.Rect(8 + 12 * i, 0, 12, 14, SimilarityColor(i / 32.0));
  picture.Text(8, 30, Anchor::kStart, "0: other keys");
  picture.Text(206, 30, Anchor::kMiddle, "0.5");
  picture.Text(404, 30, Anchor::kEnd, "1: the same attention");
  return std::move(picture).Finish();
}

}  // namespace reprise::engine::analysis
