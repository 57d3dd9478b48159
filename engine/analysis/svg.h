// Pictures as text: SVG elements of a page.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace reprise::engine::analysis {

using Color = std::array<int, 3>;  // red, green, blue, 0 to 255

// From dark blue (0) over green to yellow (1): brighter is more alike, also without colours.
Color SimilarityColor(double value);
// From white (0) to dark blue (1), for attention probabilities.
Color AttentionColor(double value);
// From blue (-1) over white (0) to red (1).
Color DifferenceColor(double value);
std::string Rgb(const Color& color);

std::string Fixed(double value, int digits);
// Text as a page's text: names come from people. Control characters become U+FFFD.
std::string Escaped(std::string_view text);

enum class Anchor { kStart, kMiddle, kEnd };

// A picture under construction. Lengths are pixels. Not thread-safe.
class Picture {
 public:
  // `title` is what a screen reader says. Neither it nor any text given later need be escaped.
  Picture(std::string_view id, std::string_view title, double width, double height);

  // `tip` appears under the pointer; empty: none.
  void Rect(double x, double y, double width, double height, const Color& fill,
            std::string_view tip = "");
  void Text(double x, double y, Anchor anchor, std::string_view text);
  // On a background of that colour, black or white.
  void TextOn(const Color& background, double x, double y, std::string_view text);
  // From bottom to top, beginning at x, y.
  void UpwardText(double x, double y, std::string_view text);
  void Element(std::string_view element);  // any other

  std::string Finish() &&;

 private:
  std::string svg_;
};

// A coordinate, as short as a hundredth of a pixel allows.
std::string Coordinate(double value);

}  // namespace reprise::engine::analysis
