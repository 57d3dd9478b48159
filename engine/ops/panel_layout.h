// How activations lie in memory: columns cut into panels, each panel a dense row-major matrix of
// its own.
//
// oneDNN's fast matmul (brgemm) wants dense matrices, and cutting the columns is what gives several
// threads work when there are few rows. So a producer writes whole panels, and a consumer reads
// panel by panel. A layout with one panel is an ordinary dense matrix.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/memory/buffer.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine::ops {

// Matrix products run on row counts rounded up to this, so every activation buffer has as many
// rows. The extra rows are computed and never read; rows do not influence each other.
inline constexpr std::int64_t kRowGranularity = 16;

constexpr std::int64_t RoundedRows(std::int64_t rows) {
  return memory::AlignUp(rows, kRowGranularity);
}

// Panel p holds columns [p * panel_columns, p * panel_columns + width(p)); all panels but the last
// are panel_columns wide.
struct PanelLayout {
  std::int64_t columns = 0;
  std::int64_t panel_columns = 0;
  std::int64_t capacity_rows =
      0;  // rows of memory behind each panel, a multiple of kRowGranularity
  DType dtype = DType::kF32;

  static constexpr PanelLayout Dense(std::int64_t columns, std::int64_t rows, DType dtype) {
    return {columns, columns, RoundedRows(rows), dtype};
  }

  constexpr std::int64_t panels() const { return (columns + panel_columns - 1) / panel_columns; }
  constexpr std::int64_t width(std::int64_t panel) const {
    return std::min(panel_columns, columns - panel * panel_columns);
  }
  // Element (row, first column of `panel`), counted in elements from the start of the buffer.
  constexpr std::int64_t offset(std::int64_t panel, std::int64_t row) const {
    return panel * panel_columns * capacity_rows + row * width(panel);
  }
  constexpr std::int64_t bytes() const {
    return columns * capacity_rows * static_cast<std::int64_t>(SizeOf(dtype));
  }
};

}  // namespace reprise::engine::ops
