#include "engine/analysis/line_chart.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::engine::analysis {
namespace {

constexpr double kWidth = 700, kHeight = 310, kLeft = 62, kRight = 190, kTop = 10, kBottom = 46;

}  // namespace

LineChart::LineChart(std::string_view id, std::string_view title, int first, int steps)
    : first_(first), steps_(steps), picture_(id, title, kWidth, kHeight) {
  for (int tenths = 0; tenths <= 10; tenths += 2) {
    const double y = Y(tenths / 10.0);
    picture_.Element(absl::StrCat("<path class=\"grid\" d=\"M", kLeft, " ", Coordinate(y), "H",
                                  kWidth - kRight, "\"/>"));
    picture_.Text(kLeft - 8, y + 4, Anchor::kEnd, Fixed(tenths / 10.0, 1));
  }
  const int label_step = (steps + 23) / 24;
  for (int step = 0; step < steps; step += label_step) {
    picture_.Text(X(step), kHeight - kBottom + 18, Anchor::kMiddle, absl::StrCat(first + step));
  }
  picture_.Text((kLeft + kWidth - kRight) / 2, kHeight - 8, Anchor::kMiddle, "layer");
  picture_.UpwardText(18, (kTop + kHeight - kBottom) / 2 + 30, "similarity");
}

double LineChart::X(int step) const {
  const double share = steps_ == 1 ? 0.5 : static_cast<double>(step) / (steps_ - 1);
  return kLeft + 10 + share * (kWidth - kLeft - kRight - 20);
}

double LineChart::Y(double value) const { return kTop + (1 - value) * (kHeight - kBottom - kTop); }

void LineChart::Line(const std::vector<double>& values, const Color& color, std::string_view tip,
                     std::string_view label) {
  REPRISE_CHECK(values.size() == steps_);
  std::string points, numbers;
  for (int step = 0; step < steps_; ++step) {
    const std::string at = absl::StrCat(Coordinate(X(step)), ",", Coordinate(Y(values[step])));
    absl::StrAppend(&points, step == 0 ? "" : " ", at);
    absl::StrAppend(&numbers, step == 0 ? "" : ", ", Fixed(values[step], 3));
  }
  picture_.Element(absl::StrCat("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"", Rgb(color),
                                "\" points=\"", points, "\"><title>", Escaped(tip),
                                ", by layer: ", numbers, "</title></polyline>"));
  for (int step = 0; step < steps_; ++step) {
    picture_.Element(absl::StrCat("<circle r=\"3\" cx=\"", Coordinate(X(step)), "\" cy=\"",
                                  Coordinate(Y(values[step])), "\" fill=\"", Rgb(color),
                                  "\"><title>", Escaped(tip), ", layer ", first_ + step, ": ",
                                  Fixed(values[step], 3), "</title></circle>"));
  }
  if (!label.empty()) labels_.push_back({Y(values.back()), std::string(label)});
}

std::string LineChart::Finish() && {
  // From top to bottom, none upon another.
  std::sort(labels_.begin(), labels_.end(),
            [](const Label& a, const Label& b) { return a.y < b.y; });
  constexpr double kLineHeight = 14;
  double lowest = -kLineHeight;
  for (const Label& label : labels_) {
    lowest = std::max(lowest + kLineHeight, label.y);
    picture_.Element(absl::StrCat("<text x=\"", Coordinate(X(steps_ - 1) + 10), "\" y=\"",
                                  Coordinate(lowest + 4), "\">", Escaped(label.text), "</text>"));
  }
  return std::move(picture_).Finish();
}

}  // namespace reprise::engine::analysis
