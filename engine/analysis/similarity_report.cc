#include "engine/analysis/similarity_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::analysis {
namespace {

using Json = nlohmann::ordered_json;

Json Rows(int rows, int columns, const std::function<double(int, int)>& value) {
  Json all = Json::array();
  for (int row = 0; row < rows; ++row) {
    Json one = Json::array();
    for (int column = 0; column < columns; ++column) one.push_back(value(row, column));
    all.push_back(std::move(one));
  }
  return all;
}

std::string Fixed(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

using Color = std::array<int, 3>;

// From dark blue (0) over green to yellow (1): brighter is more alike, also without colours.
Color ColorOf(double value) {
  constexpr Color kStops[] = {
      {24, 25, 80}, {40, 90, 140}, {50, 150, 130}, {150, 200, 80}, {253, 231, 37}};
  constexpr int kLast = std::size(kStops) - 1;
  const double place = std::clamp(value, 0.0, 1.0) * kLast;
  const int below = std::min(static_cast<int>(place), kLast - 1);
  Color color;
  for (int i = 0; i < 3; ++i) {
    color[i] = static_cast<int>(std::lround(
        kStops[below][i] + (place - below) * (kStops[below + 1][i] - kStops[below][i])));
  }
  return color;
}

std::string Rgb(const Color& color) {
  return absl::StrCat("rgb(", color[0], ",", color[1], ",", color[2], ")");
}

// Model names come from people.
std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// Figures 2 and 6 of the paper.
std::string BestPairsPicture(const SimilarityTable& table) {
  constexpr int kCell = 34;
  constexpr int kMargin = 34;
  const int layers = table.layers();
  const std::vector<double> best = table.BestPairs();
  const int size = kMargin + layers * kCell + 4;
  std::string svg =
      absl::StrCat("<svg id=\"best-pairs\" width=\"", size, "\" height=\"", size, "\">\n");
  for (int row = 0; row < layers; ++row) {
    const int y = kMargin + row * kCell;
    absl::StrAppend(&svg, "<text x=\"26\" y=\"", y + 21, "\" text-anchor=\"end\">", row + 1,
                    "</text><text x=\"", y + 17, "\" y=\"26\" text-anchor=\"middle\">", row + 1,
                    "</text>\n");
    for (int column = 0; column < layers; ++column) {
      const double value = best[static_cast<std::size_t>(row) * layers + column];
      const int x = kMargin + column * kCell;
      absl::StrAppend(&svg, "<rect x=\"", x, "\" y=\"", y, "\" width=\"", kCell - 1, "\" height=\"",
                      kCell - 1, "\" fill=\"", Rgb(ColorOf(value)), "\"/><text class=\"",
                      value > 0.6 ? "dark" : "light", "\" x=\"", x + 16, "\" y=\"", y + 21,
                      "\" text-anchor=\"middle\">", Fixed(value, 2), "</text>\n");
    }
  }
  return svg + "</svg>\n";
}

// Figure 3: a line for each rank over the layers.
std::string RankedMatchesPicture(const SimilarityTable& table) {
  constexpr int kWidth = 560, kHeight = 300, kLeft = 44, kBottom = 36, kTop = 10;
  const int steps = table.layers() - 1;
  const std::vector<double> ranked = table.RankedMatches();
  const auto x_of = [&](int layer) {
    return kLeft +
           (steps == 1 ? 0.5 : static_cast<double>(layer) / (steps - 1)) * (kWidth - kLeft - 90);
  };
  const auto y_of = [&](double value) { return kTop + (1 - value) * (kHeight - kBottom - kTop); };
  std::string svg =
      absl::StrCat("<svg id=\"ranked-matches\" width=\"", kWidth, "\" height=\"", kHeight, "\">\n");
  for (int tenths = 0; tenths <= 10; tenths += 2) {
    const double y = y_of(tenths / 10.0);
    absl::StrAppend(&svg, "<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", kWidth - 80, "\" y1=\"",
                    Fixed(y, 1), "\" y2=\"", Fixed(y, 1), "\"/><text x=\"", kLeft - 6, "\" y=\"",
                    Fixed(y + 4, 1), "\" text-anchor=\"end\">", Fixed(tenths / 10.0, 1),
                    "</text>\n");
  }
  for (int layer = 0; layer < steps; ++layer) {
    absl::StrAppend(&svg, "<text x=\"", Fixed(x_of(layer), 1), "\" y=\"", kHeight - 16,
                    "\" text-anchor=\"middle\">", layer + 2, "</text>\n");
  }
  const int heads = table.heads();
  for (int rank = 0; rank < heads; ++rank) {
    const std::string color = Rgb(ColorOf(heads == 1 ? 0.5 : 0.85 * rank / (heads - 1)));
    absl::StrAppend(&svg, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"", color,
                    "\" points=\"");
    for (int layer = 0; layer < steps; ++layer) {
      const double value = ranked[static_cast<std::size_t>(layer) * heads + rank];
      absl::StrAppend(&svg, Fixed(x_of(layer), 1), ",", Fixed(y_of(value), 1), " ");
    }
    svg += "\"/>\n";
    if (rank != 0 && rank != heads - 1) continue;
    const double last = ranked[static_cast<std::size_t>(steps - 1) * heads + rank];
    absl::StrAppend(&svg, "<text x=\"", Fixed(x_of(steps - 1) + 8, 1), "\" y=\"",
                    Fixed(y_of(last) + 4, 1), "\" fill=\"", color, "\">",
                    rank == 0 ? "least alike" : "most alike", "</text>\n");
  }
  return svg + "</svg>\n";
}

void AppendLittleEndian(std::uint32_t value, int bytes, std::string* to) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

// The whole table, a pixel for each pair, as an uncompressed Windows bitmap.
std::string TablePicture(const SimilarityTable& table) {
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
      const Color color = ColorOf(table.mean(row, column));
      for (int i = 2; i >= 0; --i) bitmap.push_back(static_cast<char>(color[i]));
    }
    bitmap.append(row_bytes - 3 * size, '\0');
  }
  const int shown = size * std::max(1, 720 / size);
  return absl::StrCat("<img id=\"table\" alt=\"similarity of all pairs of heads\" width=\"", shown,
                      "\" height=\"", shown, "\" src=\"data:image/bmp;base64,",
                      absl::Base64Escape(bitmap), "\">\n");
}

std::string Scale() {
  std::string svg = "<svg id=\"scale\" width=\"330\" height=\"34\">";
  for (int i = 0; i <= 30; ++i) {
    absl::StrAppend(&svg, "<rect x=\"", 8 + 10 * i, "\" width=\"10\" height=\"14\" fill=\"",
                    Rgb(ColorOf(i / 30.0)), "\"/>");
  }
  return svg +
         "<text x=\"8\" y=\"30\">0: other keys</text><text x=\"318\" y=\"30\" "
         "text-anchor=\"end\">1: the same attention</text></svg>\n";
}

double LargestError(const SimilarityTable& table) {
  double largest = 0;
  const int all = table.layers() * table.heads();
  for (int head = 0; head < all; ++head) {
    for (int other = 0; other < head; ++other) {
      largest = std::max(largest, table.standard_error(head, other));
    }
  }
  return largest;
}

}  // namespace

Json ToJson(const SimilarityTable& table, const AnalysisSubject& subject) {
  const int layers = table.layers(), heads = table.heads(), all = layers * heads;
  const std::vector<double> best = table.BestPairs(), ranked = table.RankedMatches();
  return {
      {"model", subject.model},
      {"texts", table.texts()},
      {"tokens", subject.tokens},
      {"max_tokens", subject.max_tokens},
      {"layers", layers},
      {"heads", heads},
      {"best_pairs",
       Rows(layers, layers, [&](int row, int column) { return best[row * layers + column]; })},
      {"ranked_matches",
       Rows(layers - 1, heads, [&](int row, int column) { return ranked[row * heads + column]; })},
      {"similarity", Rows(all, all, [&](int i, int j) { return table.mean(i, j); })},
      {"standard_error", Rows(all, all, [&](int i, int j) { return table.standard_error(i, j); })}};
}

std::string ToHtml(const SimilarityTable& table, const AnalysisSubject& subject) {
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Attention of ",
      Escaped(subject.model),
      "</title>\n<style>body{font:15px sans-serif;max-width:860px;margin:2em auto;padding:0 1em}"
      "text{font-size:12px}text.light{fill:#fff}text.dark{fill:#000}.grid{stroke:#ddd}"
      "img{image-rendering:pixelated;border:1px solid #888}</style></head><body>\n<h1>How alike "
      "the "
      "heads of ",
      Escaped(subject.model), " attend</h1>\n<p>", table.texts(), " texts, ", subject.tokens,
      " tokens, each text cut to ", subject.max_tokens, " tokens; ", table.layers(), " layers of ",
      table.heads(),
      " heads. The similarity of two heads on a text is 1 minus half the summed differences of "
      "their "
      "attention probabilities, averaged over queries (arXiv 2110.06821, equation 2); then over "
      "the "
      "texts. The standard error of any number here is at most ",
      Fixed(LargestError(table), 4), ".</p>\n", Scale());
  absl::StrAppend(
      &html,
      "<h2>Best pair of heads of two layers</h2>\n<p>A high number says: some head of the one "
      "layer could take the scores of some head of the other.</p>\n",
      BestPairsPicture(table));
  if (table.layers() > 1) {
    absl::StrAppend(
        &html,
        "<h2>Each head's best match in the layer before</h2>\n<p>By layer, from 2 on; each line "
        "is a rank among the layer's heads. Heads of high lines are the ones to reuse.</p>\n",
        RankedMatchesPicture(table));
  }
  return absl::StrCat(
      html,
      "<h2>All pairs of heads</h2>\n<p>Rows and columns are heads, layer by layer from the "
      "upper left.</p>\n",
      TablePicture(table), "</body></html>\n");
}

}  // namespace reprise::engine::analysis
