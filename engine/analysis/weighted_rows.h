// A small dense matrix product, for matrices that lie in a cache.
#pragma once

#include <cstdint>

namespace reprise::engine::analysis {

struct RowsTimes {
  std::int64_t rows = 0;   // of a
  std::int64_t inner = 0;  // columns of a, rows of b
};

// to = a b in fp32: a [rows, inner] with rows a_stride apart, b [inner, columns] and to [rows,
// columns] dense.
void MultiplyRows(const float* a, std::int64_t a_stride, const float* b, std::int64_t columns,
                  RowsTimes size, float* to);

}  // namespace reprise::engine::analysis
