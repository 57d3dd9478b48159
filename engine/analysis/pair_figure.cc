#include "engine/analysis/pair_figure.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/analysis/svg.h"

namespace reprise::engine::analysis {
namespace {

constexpr double kPanel = 236;  // pixels that a matrix may take
constexpr double kGap = 12;
constexpr double kHeading = 18;  // above the tokens

// Where things are: the same for every pair of a page.
struct Layout {
  int tokens;
  double cell;
  double labels;  // room for tokens, on the left and above
  double panel_x(int panel) const { return labels + panel * (size() + kGap); }
  double panel_y() const { return kHeading + labels; }
  double size() const { return tokens * cell; }
};

// In UTF-8 every byte but those begins a letter.
bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Long tokens leave no room for the matrix.
std::string Shortened(const std::string& token) {
  constexpr std::size_t kLongest = 13;
  std::string text;
  std::size_t letters = 0;
  for (const char c : token) {
    if (!Continues(c) && ++letters > kLongest) return text + "\xe2\x80\xa6";
    text += c;
  }
  return text;
}

double RoomFor(const std::vector<std::string>& tokens) {
  std::ptrdiff_t longest = 0;
  for (const std::string& token : tokens) {
    const std::string text = Shortened(token);
    longest = std::max(
        longest, std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); }));
  }
  return 12 + 5.8 * static_cast<double>(longest);  // of 9 pixels' height
}

// One panel. Cells of one colour are one path, so that a page with many pairs stays small: a cell
// in column k and row q is "Mk qh1v1h-1z", scaled.
void DrawMatrix(const Layout& layout, int panel, const char* name,
                const std::function<Color(int query, int key)>& color_of, Picture* picture) {
  std::map<Color, std::string> cells;
  for (int query = 0; query < layout.tokens; ++query) {
    for (int key = 0; key < layout.tokens; ++key) {
      absl::StrAppend(&cells[color_of(query, key)], "M", key, " ", query, "h1v1h-1z");
    }
  }
  picture->Element(
      absl::StrCat("<g class=\"", name, "\" shape-rendering=\"crispEdges\" transform=\"",
                   "translate(", Coordinate(layout.panel_x(panel)), ",",
                   Coordinate(layout.panel_y()), ") scale(", Coordinate(layout.cell), ")\">"));
  for (const auto& [color, path] : cells) {
    picture->Element(absl::StrCat("<path fill=\"", Rgb(color), "\" d=\"", path, "\"/>"));
  }
  picture->Element("</g>");
  picture->Element(absl::StrCat("<rect class=\"frame\" x=\"", Coordinate(layout.panel_x(panel)),
                                "\" y=\"", Coordinate(layout.panel_y()), "\" width=\"",
                                Coordinate(layout.size()), "\" height=\"",
                                Coordinate(layout.size()), "\"/>"));
}

void DrawTokens(const AttentionMaps& maps, const Layout& layout, Picture* picture) {
  const int step = static_cast<int>(std::ceil(9 / layout.cell));  // no label upon another
  picture->Element("<g class=\"tokens\">");
  for (int token = 0; token < layout.tokens; token += step) {
    const std::string text = Shortened(maps.tokens[token]);
    const double middle = (token + 0.5) * layout.cell + 3;
    picture->Text(layout.labels - 4, layout.panel_y() + middle, Anchor::kEnd, text);
    for (int panel = 0; panel < 3; ++panel) {
      picture->UpwardText(layout.panel_x(panel) + middle, layout.panel_y() - 4, text);
    }
  }
  picture->Element("</g>");
}

// Most probabilities are small: by their square root they show all the same. Few colours make few
// paths, and the eye tells no more apart.
double Shade(double value) {
  return std::copysign(std::round(std::sqrt(std::abs(value)) * 32) / 32, value);
}

}  // namespace

std::string PairPicture(const AttentionMaps& maps, int number) {
  const PairMaps& pair = maps.pairs[number];
  const int tokens = static_cast<int>(maps.tokens.size());
  const Layout layout = {tokens, std::min(13.0, kPanel / tokens), RoomFor(maps.tokens)};
  const std::string first = NameOf(pair.heads.first), second = NameOf(pair.heads.second);
  Picture picture(absl::StrCat("pair-", number + 1),
                  absl::StrCat("Attention of head ", first, ", of head ", second,
                               " and the difference, on one text"),
                  layout.panel_x(2) + layout.size() + 4, layout.panel_y() + layout.size() + 4);
  picture.Text(layout.panel_x(0), 12, Anchor::kStart, absl::StrCat("head ", first));
  picture.Text(layout.panel_x(1), 12, Anchor::kStart, absl::StrCat("head ", second));
  picture.Text(layout.panel_x(2), 12, Anchor::kStart, absl::StrCat(first, " minus ", second));
  DrawTokens(maps, layout, &picture);
  const auto at = [&](const std::vector<float>& matrix, int query, int key) {
    return double{matrix[static_cast<std::size_t>(query) * tokens + key]};
  };
  const auto attention_of = [&](const std::vector<float>& matrix) {
    return [&at, &matrix](int query, int key) {
      return AttentionColor(Shade(at(matrix, query, key)));
    };
  };
  DrawMatrix(layout, 0, "first", attention_of(pair.first), &picture);
  DrawMatrix(layout, 1, "second", attention_of(pair.second), &picture);
  DrawMatrix(
      layout, 2, "difference",
      [&](int query, int key) {
        return DifferenceColor(Shade(at(pair.first, query, key) - at(pair.second, query, key)));
      },
      &picture);
  return std::move(picture).Finish();
}

std::string AttentionScale() {
  constexpr double kFirst = 8, kSecond = 396, kStep = 9, kMiddle = kSecond + 16.5 * kStep;
  Picture picture("attention-scale", "Colours of attention probabilities and of their differences",
                  720, 48);
  for (int i = 0; i <= 32; ++i) {
    picture.Rect(kFirst + kStep * i, 0, kStep, 14, AttentionColor(i / 32.0));
    picture.Rect(kSecond + kStep * i, 0, kStep, 14, DifferenceColor(i / 16.0 - 1));
  }
  for (const double value : {0.0, 0.01, 0.1, 0.25, 0.5, 1.0}) {
    picture.Text(kFirst + kStep * (32 * std::sqrt(value) + 0.5), 28, Anchor::kMiddle,
                 Coordinate(value));
  }
  for (const double value : {-1.0, -0.25, 0.0, 0.25, 1.0}) {
    const double place = std::copysign(std::sqrt(std::abs(value)), value);
    picture.Text(kMiddle + 16 * kStep * place, 28, Anchor::kMiddle,
                 absl::StrCat(value < 0   ? "\xe2\x88\x92"
                              : value > 0 ? "+"
                                          : "",
                              Coordinate(std::abs(value))));
  }
  picture.Text(kFirst, 44, Anchor::kStart, "attention probability");
  picture.Text(kSecond, 44, Anchor::kStart, "more by the second head");
  picture.Text(kSecond + 33 * kStep, 44, Anchor::kEnd, "more by the first head");
  return std::move(picture).Finish();
}

}  // namespace reprise::engine::analysis
