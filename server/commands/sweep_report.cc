#include "server/commands/sweep_report.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "engine/analysis/svg.h"
#include "server/commands/quantity_text.h"
#include "server/commands/text_table.h"

namespace reprise::server::commands {
namespace {

using engine::analysis::Escaped;
using engine::analysis::Fixed;

double ReusedShare(const SweepPoint& point) {
  return static_cast<double>(point.reused_heads) / point.heads;
}

double MeasuredRatio(const SweepPoint& point) { return point.milliseconds / point.exact_ms; }

std::vector<std::vector<std::string>> TableRows(const SweepReport& report) {
  std::vector<std::vector<std::string>> rows = {{"heads", "share"}};
  if (!report.points.empty()) {
    for (const NamedQuality& one : report.points.front().quality) {
      rows[0].push_back(one.texts + ": cosine");
      rows[0].push_back("5 %");
      rows[0].push_back("top 10");
    }
  }
  for (const char* heading :
       {"mult.-adds", "time, predicted", "measured", "weights", "stored scores"}) {
    rows[0].push_back(heading);
  }
  for (const SweepPoint& point : report.points) {
    std::vector<std::string> row = {absl::StrCat(point.reused_heads), Fixed(ReusedShare(point), 3)};
    for (const NamedQuality& one : point.quality) {
      row.push_back(Fixed(one.quality.mean_cosine, 4));
      row.push_back(Fixed(one.quality.fifth_percentile, 4));
      row.push_back(Fixed(one.quality.ten_neighbours_agreement, 3));
    }
    row.push_back(Fixed(1 - point.macs_saved, 3));
    row.push_back(Fixed(point.predicted_ratio, 3));
    row.push_back(Fixed(MeasuredRatio(point), 3));
    row.push_back(ByteText(static_cast<std::int64_t>(point.weight_bytes)));
    row.push_back(ByteText(point.score_cache_bytes));
    rows.push_back(std::move(row));
  }
  return rows;
}

struct Curve {
  std::string name;
  std::string color;
  std::function<double(const SweepPoint&)> value;
};

// Curves over the share of heads that reuse, from `low` to `high`.
class Chart {
 public:
  Chart(const SweepReport& report, double low, double high)
      : report_(report), low_(low), high_(high) {
    for (const SweepPoint& point : report.points) widest_ = std::max(widest_, ReusedShare(point));
  }

  std::string Draw(const std::string& id, const std::vector<Curve>& curves) const {
    std::string svg =
        absl::StrCat("<svg id=\"", id, "\" width=\"640\" height=\"330\" role=\"img\">\n");
    DrawGrid(&svg);
    int legend = kTop + 4;
    for (const Curve& curve : curves) {
      legend += 18;
      DrawCurve(curve, legend, &svg);
    }
    return svg + "</svg>\n";
  }

 private:
  static constexpr int kLeft = 56, kTop = 10, kWidth = 420, kHeight = 280;

  double X(double share) const { return kLeft + kWidth * share / widest_; }
  double Y(double value) const { return kTop + kHeight * (high_ - value) / (high_ - low_); }

  void DrawGrid(std::string* svg) const {
    for (int i = 0; i <= 5; ++i) {
      const double value = low_ + (high_ - low_) * i / 5;
      absl::StrAppend(svg, "<line x1=\"", kLeft, "\" x2=\"", kLeft + kWidth, "\" y1=\"", Y(value),
                      "\" y2=\"", Y(value), "\" class=\"grid\"/><text x=\"", kLeft - 6, "\" y=\"",
                      Y(value) + 4, "\" text-anchor=\"end\">", Fixed(value, 3), "</text>\n");
      const double share = widest_ * i / 5;
      absl::StrAppend(svg, "<text x=\"", X(share), "\" y=\"", kTop + kHeight + 18,
                      "\" text-anchor=\"middle\">", Fixed(100 * share, 0), " %</text>\n");
    }
    absl::StrAppend(svg, "<text x=\"", kLeft + kWidth / 2, "\" y=\"", kTop + kHeight + 36,
                    "\" text-anchor=\"middle\">heads that reuse scores</text>\n");
  }

  void DrawCurve(const Curve& curve, int legend, std::string* svg) const {
    std::string line, dots;
    for (const SweepPoint& point : report_.points) {
      const double x = X(ReusedShare(point)), y = Y(curve.value(point));
      absl::StrAppend(&line, x, ",", y, " ");
      absl::StrAppend(&dots, "<circle cx=\"", x, "\" cy=\"", y, "\" r=\"4\" fill=\"", curve.color,
                      "\"><title>", Escaped(curve.name), ", ", point.reused_heads,
                      " heads: ", Fixed(curve.value(point), 4), "</title></circle>");
    }
    absl::StrAppend(svg, "<polyline points=\"", line, "\" fill=\"none\" stroke=\"", curve.color,
                    "\" stroke-width=\"2\"/>", dots, "<text x=\"", kLeft + kWidth + 12, "\" y=\"",
                    legend, "\" fill=\"", curve.color, "\">", Escaped(curve.name), "</text>\n");
  }

  const SweepReport& report_;
  const double low_, high_;
  double widest_ = 0.01;
};

std::string HtmlTable(const SweepReport& report) {
  std::string html = "<table>\n";
  bool heading = true;
  for (const std::vector<std::string>& row : TableRows(report)) {
    html += "<tr>";
    for (const std::string& cell : row) {
      absl::StrAppend(&html, heading ? "<th>" : "<td>", Escaped(cell), heading ? "</th>" : "</td>");
    }
    html += "</tr>\n";
    heading = false;
  }
  return html + "</table>\n";
}

std::string QualityChart(const SweepReport& report) {
  constexpr const char* kColors[] = {"#1f5fa8", "#b0470b", "#2d7d46", "#7a3e9d"};
  std::vector<Curve> curves;
  double low = 1;
  for (std::size_t set = 0; set < report.points.front().quality.size(); ++set) {
    curves.push_back({report.points.front().quality[set].texts, kColors[set % std::size(kColors)],
                      [set](const SweepPoint& p) { return p.quality[set].quality.mean_cosine; }});
    for (const SweepPoint& point : report.points) low = std::min(low, curves.back().value(point));
  }
  return Chart(report, low - 0.1 * (1 - low) - 0.001, 1).Draw("quality", curves);
}

std::string TimeChart(const SweepReport& report) {
  const std::vector<Curve> curves = {
      {"predicted", "#2d7d46", [](const SweepPoint& p) { return p.predicted_ratio; }},
      {"measured", "#b0470b", [](const SweepPoint& p) { return MeasuredRatio(p); }}};
  double low = 1, high = 1;
  for (const SweepPoint& point : report.points) {
    for (const Curve& curve : curves) {
      low = std::min(low, curve.value(point));
      high = std::max(high, curve.value(point));
    }
  }
  return Chart(report, low - 0.02, high + 0.02).Draw("time", curves);
}

}  // namespace

nlohmann::ordered_json ToJson(const SweepReport& report) {
  nlohmann::ordered_json json = {{"model", report.model},
                                 {"machine", report.machine},
                                 {"seq_len", report.seq_len},
                                 {"points", nlohmann::ordered_json::array()}};
  for (const SweepPoint& point : report.points) {
    nlohmann::ordered_json one = {{"budget", point.budget},
                                  {"reused_heads", point.reused_heads},
                                  {"reused_share", ReusedShare(point)},
                                  {"quality", nlohmann::ordered_json::object()},
                                  {"multiply_adds_saved", point.macs_saved},
                                  {"predicted_time_ratio", point.predicted_ratio},
                                  {"measured_time_ratio", MeasuredRatio(point)},
                                  {"exact_ms", point.exact_ms},
                                  {"milliseconds", point.milliseconds},
                                  {"weight_bytes", point.weight_bytes},
                                  {"score_cache_bytes", point.score_cache_bytes}};
    for (const NamedQuality& set : point.quality) one["quality"][set.texts] = ToJson(set.quality);
    json["points"].push_back(std::move(one));
  }
  return json;
}

std::string DrawSweep(const SweepReport& report) {
  const std::vector<std::vector<std::string>> rows = TableRows(report);
  return DrawTable(rows, std::vector<bool>(rows[0].size(), false));
}

std::string ToHtml(const SweepReport& report) {
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Reuse sweep of ",
      Escaped(report.model),
      "</title>\n<style>body{font:15px sans-serif;max-width:60em;margin:2em auto}"
      "svg text{font-size:12px}.grid{stroke:#ddd}td,th{padding:2px 8px;text-align:right}"
      "th{border-bottom:1px solid #888}</style>\n<h1>Reuse in ",
      Escaped(report.model), "</h1>\n");
  if (report.points.empty()) return html + "</html>";
  absl::StrAppend(
      &html,
      "<h2>Quality</h2><p>Mean cosine of each held-out text's vector to the original "
      "model's. 1: the same answers.</p>\n",
      QualityChart(report), "<h2>Time</h2><p>One text of ", report.seq_len,
      " tokens, one thread, by the original's time. Predicted from the original's time by part, "
      "and from times of single heads; measured in turns with the original. ",
      Escaped(report.machine), "</p>\n", TimeChart(report), "<h2>All figures</h2>\n",
      HtmlTable(report), "</html>");
  return html;
}

}  // namespace reprise::server::commands
