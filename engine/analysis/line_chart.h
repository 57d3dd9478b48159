// A chart of similarities over the layers of a model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/analysis/svg.h"

namespace reprise::engine::analysis {

// The vertical axis goes from 0 to 1, the horizontal one from layer `first` over `steps` layers.
// Not thread-safe.
class LineChart {
 public:
  LineChart(std::string_view id, std::string_view title, int first, int steps);

  // One value for each layer; `tip` appears under the pointer, `label` at the line's end.
  void Line(const std::vector<double>& values, const Color& color, std::string_view tip,
            std::string_view label);
  std::string Finish() &&;

 private:
  double X(int step) const;
  double Y(double value) const;

  struct Label {
    double y;
    std::string text;
  };

  const int first_;
  const int steps_;
  Picture picture_;
  std::vector<Label> labels_;
};

}  // namespace reprise::engine::analysis
