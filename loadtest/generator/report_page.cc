#include "loadtest/generator/report_page.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/analysis/svg.h"

namespace reprise::loadtest {
namespace {

using engine::analysis::Anchor;
using engine::analysis::Color;
using engine::analysis::Coordinate;
using engine::analysis::Escaped;
using engine::analysis::Fixed;
using engine::analysis::Picture;
using engine::analysis::Rgb;

constexpr Color kBlue = {31, 95, 168}, kOrange = {176, 71, 11}, kGreen = {45, 125, 70};
constexpr double kLeft = 70, kTop = 24, kWidth = 560, kHeight = 220;

struct Point {
  double x = 0, y = 0;  // 0 to 1, from the lower left corner
};

std::string Number(double value) { return Fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0); }

// A chart whose vertical axis goes from 0 to `top`.
class Chart {
 public:
  Chart(const char* id, const char* title, double top)
      : top_(top > 0 ? top : 1), picture_(id, title, kLeft + kWidth + 130, kTop + kHeight + 40) {
    picture_.Text(kLeft, kTop - 8, Anchor::kStart, title);
    for (int i = 0; i <= 4; ++i) {
      const double y = kTop + kHeight * (1 - i / 4.0);
      picture_.Element(absl::StrCat("<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", kLeft + kWidth,
                                    "\" y1=\"", y, "\" y2=\"", y, "\"/>"));
      picture_.Text(kLeft - 6, y + 4, Anchor::kEnd, Number(top_ * i / 4));
    }
  }

  void XLabel(double x, const std::string& text) {
    picture_.Text(kLeft + kWidth * x, kTop + kHeight + 18, Anchor::kMiddle, text);
  }

  void Line(const std::vector<Point>& points, const Color& color, const char* name) {
    std::string path;
    for (const Point& point : points) {
      absl::StrAppend(&path, Coordinate(kLeft + kWidth * point.x), ",",
                      Coordinate(kTop + kHeight * (1 - point.y / top_)), " ");
    }
    picture_.Element(absl::StrCat("<polyline points=\"", path,
                                  "\" fill=\"none\" stroke-width=\"2\" stroke=\"", Rgb(color),
                                  "\"/>"));
    const double y = kTop + 12 + 18 * lines_++;
    picture_.Rect(kLeft + kWidth + 10, y - 9, 10, 10, color);
    picture_.Text(kLeft + kWidth + 26, y, Anchor::kStart, name);
  }

  std::string Finish() && { return std::move(picture_).Finish(); }

 private:
  const double top_;
  Picture picture_;
  int lines_ = 0;
};

// Each nine takes the same room: the axis is -log10(1 - percentile), up to one call of all.
std::string PercentileChart(const LoadReport& report) {
  const double nines =
      std::max(1.0, std::log10(std::max<double>(10, static_cast<double>(report.ok.count()))));
  Chart chart("percentiles", "Latency by percentile, ms (from when calls were due)",
              Milliseconds(report.ok.max()));
  std::vector<Point> points;
  constexpr int kPoints = 200;
  for (int i = 0; i <= kPoints; ++i) {
    const double x = static_cast<double>(i) / kPoints;
    const double percent = std::max(0.001, 100 * (1 - std::pow(10, -x * nines)));
    points.push_back({x, Milliseconds(report.ok.Percentile(percent))});
  }
  chart.XLabel(0, "0 %");
  const char* labels[] = {"90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"};
  for (int i = 0; i < 5 && i + 1 <= nines; ++i) chart.XLabel((i + 1) / nines, labels[i]);
  chart.Line(points, kBlue, "answered OK");
  return std::move(chart).Finish();
}

using OfInterval = std::function<double(const LoadInterval&)>;
struct Curve {
  const char* name;
  Color color;
  OfInterval value;
};

std::string OverTime(const char* id, const char* title, const LoadReport& report,
                     const std::vector<Curve>& curves) {
  double top = 0;
  for (const Curve& curve : curves) {
    for (const LoadInterval& interval : report.intervals)
      top = std::max(top, curve.value(interval));
  }
  Chart chart(id, title, top);
  for (int i = 0; i <= 4; ++i) {
    chart.XLabel(i / 4.0, absl::StrCat(Number(report.seconds * i / 4), " s"));
  }
  for (const Curve& curve : curves) {
    std::vector<Point> points;
    for (const LoadInterval& interval : report.intervals) {
      points.push_back(
          {(interval.start_s + interval.seconds / 2) / report.seconds, curve.value(interval)});
    }
    chart.Line(points, curve.color, curve.name);
  }
  return std::move(chart).Finish();
}

OfInterval LatencyAt(double percent) {
  return [percent](const LoadInterval& interval) {
    return Milliseconds(interval.ok_latency.Percentile(percent));
  };
}

// Escaped() takes the ends of lines for control characters.
std::string EscapedLines(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (std::string& line : lines) line = Escaped(line);
  return absl::StrJoin(lines, "\n");
}

}  // namespace

std::string LoadPage(const LoadReport& report, const std::string& command) {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Load test</title>\n"
      "<style>body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
      "svg{display:block;margin:1em 0}svg text{font-size:12px}.grid{stroke:#ddd}"
      "pre{background:#f4f4f4;padding:1em;overflow:auto}#command{white-space:pre-wrap}</style></"
      "head>\n<body>\n<h1>Load "
      "test</h1>\n<pre id=\"command\">",
      Escaped(command), "</pre>\n<pre id=\"figures\">", EscapedLines(report.ToText()), "</pre>\n",
      PercentileChart(report),
      OverTime("latency", "Latency over time, ms", report,
               {{"p50", kGreen, LatencyAt(50)},
                {"p99", kBlue, LatencyAt(99)},
                {"longest", kOrange, LatencyAt(100)}}),
      OverTime("rate", "Calls per second over time", report,
               {{"due", kBlue,
                 [](const LoadInterval& i) { return static_cast<double>(i.due) / i.seconds; }},
                {"answered OK", kGreen,
                 [](const LoadInterval& i) { return static_cast<double>(i.ok) / i.seconds; }}}),
      "</body></html>\n");
}

}  // namespace reprise::loadtest
