#include "engine/analysis/weighted_rows.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/analysis/weighted_rows.cc"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::analysis::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Four rows of a against the same part of b, whose vectors are loaded once for all of them.
void MultiplyRows(const float* a, std::int64_t a_stride, const float* b, std::int64_t columns,
                  RowsTimes size, float* to) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t whole = columns / lanes * lanes;
  std::int64_t row = 0;
  for (; row + 4 <= size.rows; row += 4) {
    const float* rows[4] = {a + row * a_stride, a + (row + 1) * a_stride, a + (row + 2) * a_stride,
                            a + (row + 3) * a_stride};
    for (std::int64_t column = 0; column < whole; column += lanes) {
      auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
      for (std::int64_t k = 0; k < size.inner; ++k) {
        const auto part = hn::LoadU(d, b + k * columns + column);
        sum0 = hn::MulAdd(hn::Set(d, rows[0][k]), part, sum0);
        sum1 = hn::MulAdd(hn::Set(d, rows[1][k]), part, sum1);
        sum2 = hn::MulAdd(hn::Set(d, rows[2][k]), part, sum2);
        sum3 = hn::MulAdd(hn::Set(d, rows[3][k]), part, sum3);
      }
      hn::StoreU(sum0, d, to + row * columns + column);
      hn::StoreU(sum1, d, to + (row + 1) * columns + column);
      hn::StoreU(sum2, d, to + (row + 2) * columns + column);
      hn::StoreU(sum3, d, to + (row + 3) * columns + column);
    }
  }
  // What is left over of rows and columns.
  for (std::int64_t r = 0; r < size.rows; ++r) {
    for (std::int64_t column = r < row ? whole : 0; column < columns; ++column) {
      float sum = 0;
      for (std::int64_t k = 0; k < size.inner; ++k) {
        sum += a[r * a_stride + k] * b[k * columns + column];
      }
      to[r * columns + column] = sum;
    }
  }
}

}  // namespace reprise::engine::analysis::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::analysis {

HWY_EXPORT(MultiplyRows);

void MultiplyRows(const float* a, std::int64_t a_stride, const float* b, std::int64_t columns,
                  RowsTimes size, float* to) {
  HWY_DYNAMIC_DISPATCH(MultiplyRows)(a, a_stride, b, columns, size, to);
}

}  // namespace reprise::engine::analysis
#endif
