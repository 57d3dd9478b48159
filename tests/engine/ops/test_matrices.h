// Random matrices as the reference (doubles) and as a kernel (fp32 or bf16 in memory) see them.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "engine/memory/buffer.h"
#include "engine/ops/panel_layout.h"
#include "engine/tensor/dtype.h"
#include "gtest/gtest.h"
#include "tests/reference/ops.h"

namespace reprise::engine::ops {

// What `value` becomes when it is kept in `dtype`, so that reference and kernel start from the same
// numbers.
inline float Kept(float value, DType dtype) {
  return dtype == DType::kBF16 ? BFloat16::FromFloat(value).ToFloat() : value;
}

// Normal numbers with standard deviation `scale`, rounded to `dtype`.
inline reference::Matrix RandomMatrix(std::int64_t rows, std::int64_t columns, float scale,
                                      DType dtype, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, scale);
  reference::Matrix matrix(rows, std::vector<double>(columns));
  for (auto& row : matrix) {
    for (double& value : row) value = Kept(normal(random), dtype);
  }
  return matrix;
}

inline std::vector<float> Flat(const reference::Matrix& matrix) {
  std::vector<float> values;
  for (const auto& row : matrix) values.insert(values.end(), row.begin(), row.end());
  return values;
}

inline void Store(const std::byte* buffer, std::int64_t element, DType dtype, double value) {
  auto* data = const_cast<std::byte*>(buffer);
  if (dtype == DType::kF32) {
    reinterpret_cast<float*>(data)[element] = static_cast<float>(value);
  } else {
    reinterpret_cast<BFloat16*>(data)[element] = BFloat16::FromFloat(static_cast<float>(value));
  }
}

inline float Load(const std::byte* buffer, std::int64_t element, DType dtype) {
  return dtype == DType::kF32 ? reinterpret_cast<const float*>(buffer)[element]
                              : reinterpret_cast<const BFloat16*>(buffer)[element].ToFloat();
}

inline memory::Buffer Allocate(std::int64_t bytes) {
  auto buffer = memory::Buffer::Allocate(memory::Purpose::kScratch, bytes);
  EXPECT_TRUE(buffer.ok());
  return *std::move(buffer);
}

// `matrix` laid out in panels.
inline memory::Buffer InPanels(const reference::Matrix& matrix, const PanelLayout& layout) {
  memory::Buffer buffer = Allocate(layout.bytes());
  for (std::size_t r = 0; r < matrix.size(); ++r) {
    for (std::int64_t c = 0; c < layout.columns; ++c) {
      const std::int64_t panel = c / layout.panel_columns;
      Store(buffer.data(),
            layout.offset(panel, static_cast<std::int64_t>(r)) + c % layout.panel_columns,
            layout.dtype, matrix[r][c]);
    }
  }
  return buffer;
}

// The first `rows` rows of a buffer in panels, row by row.
inline std::vector<float> FromPanels(const memory::Buffer& buffer, const PanelLayout& layout,
                                     std::int64_t rows) {
  std::vector<float> values;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < layout.columns; ++c) {
      const std::int64_t panel = c / layout.panel_columns;
      values.push_back(
          Load(buffer.data(), layout.offset(panel, r) + c % layout.panel_columns, layout.dtype));
    }
  }
  return values;
}

}  // namespace reprise::engine::ops
