#include "engine/analysis/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>

#include "absl/strings/str_cat.h"

namespace reprise::engine::analysis {
namespace {

Color Between(std::span<const Color> stops, double value) {
  const int last = static_cast<int>(stops.size()) - 1;
  const double place = std::clamp(value, 0.0, 1.0) * last;
  const int below = std::min(static_cast<int>(place), last - 1);
  Color color;
  for (int i = 0; i < 3; ++i) {
    const double step = stops[below + 1][i] - stops[below][i];
    color[i] = static_cast<int>(std::lround(stops[below][i] + (place - below) * step));
  }
  return color;
}

std::string Tip(std::string_view text) {
  return text.empty() ? "" : absl::StrCat("<title>", Escaped(text), "</title>");
}

const char* Name(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "start";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "start";
}

}  // namespace

Color SimilarityColor(double value) {
  constexpr Color kStops[] = {
      {24, 25, 80}, {40, 90, 140}, {50, 150, 130}, {150, 200, 80}, {253, 231, 37}};
  return Between(kStops, value);
}

Color AttentionColor(double value) {
  constexpr Color kStops[] = {{255, 255, 255}, {150, 185, 225}, {60, 110, 180}, {15, 30, 90}};
  return Between(kStops, value);
}

Color DifferenceColor(double value) {
  constexpr Color kStops[] = {
      {20, 70, 160}, {140, 180, 225}, {255, 255, 255}, {235, 150, 130}, {170, 20, 40}};
  return Between(kStops, (value + 1) / 2);
}

std::string Rgb(const Color& color) {
  char text[8];
  std::snprintf(text, sizeof(text), "#%02x%02x%02x", color[0] & 0xff, color[1] & 0xff,
                color[2] & 0xff);
  return text;
}

std::string Fixed(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string Coordinate(double value) {
  std::string text = Fixed(value, 2);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string Escaped(std::string_view text) {
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
      case '"':
        escaped += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          escaped += "\xef\xbf\xbd";
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

Picture::Picture(std::string_view id, std::string_view title, double width, double height) {
  const std::string name = Escaped(id);
  absl::StrAppend(&svg_, "<svg id=\"", name, "\" role=\"img\" aria-labelledby=\"", name,
                  "-title\" width=\"", Coordinate(width), "\" height=\"", Coordinate(height),
                  "\">\n<title id=\"", name, "-title\">", Escaped(title), "</title>\n");
}

void Picture::Rect(double x, double y, double width, double height, const Color& fill,
                   std::string_view tip) {
  absl::StrAppend(&svg_, "<rect x=\"", Coordinate(x), "\" y=\"", Coordinate(y), "\" width=\"",
                  Coordinate(width), "\" height=\"", Coordinate(height), "\" fill=\"", Rgb(fill),
                  "\">", Tip(tip), "</rect>\n");
}

void Picture::Text(double x, double y, Anchor anchor, std::string_view text) {
  absl::StrAppend(&svg_, "<text x=\"", Coordinate(x), "\" y=\"", Coordinate(y), "\" text-anchor=\"",
                  Name(anchor), "\">", Escaped(text), "</text>\n");
}

void Picture::TextOn(const Color& background, double x, double y, std::string_view text) {
  // By the eye's weights of the three colours.
  const int light = 299 * background[0] + 587 * background[1] + 114 * background[2];
  absl::StrAppend(&svg_, "<text class=\"", light > 128000 ? "dark" : "light", "\" x=\"",
                  Coordinate(x), "\" y=\"", Coordinate(y), "\" text-anchor=\"middle\">",
                  Escaped(text), "</text>\n");
}

void Picture::UpwardText(double x, double y, std::string_view text) {
  absl::StrAppend(&svg_, "<text transform=\"translate(", Coordinate(x), ",", Coordinate(y),
                  ") rotate(-90)\">", Escaped(text), "</text>\n");
}

void Picture::Element(std::string_view element) {
  absl::StrAppend(&svg_, std::string(element), "\n");
}

std::string Picture::Finish() && { return std::move(svg_) + "</svg>\n"; }

}  // namespace reprise::engine::analysis
