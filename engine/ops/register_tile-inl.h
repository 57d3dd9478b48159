// The inner loop of every fp32 product of ours: a tile of sums that stays in registers.
//
// Included once per Highway target, hence the guard that toggles.
#if defined(REPRISE_ENGINE_OPS_REGISTER_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_ENGINE_OPS_REGISTER_TILE_INL_H_
#undef REPRISE_ENGINE_OPS_REGISTER_TILE_INL_H_
#else
#define REPRISE_ENGINE_OPS_REGISTER_TILE_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::ops {
namespace HWY_NAMESPACE {

using FloatTag = hwy::HWY_NAMESPACE::ScalableTag<float>;
using FloatVector = hwy::HWY_NAMESPACE::Vec<FloatTag>;

// Sixteen registers hold 6 x 2 sums beside their operands, thirty-two 6 x 4.
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

// sums[r][v] += sum over i < depth of rows[r * row_stride + i] * (the vector at columns + v *
// vector_stride + i * step). Ascending i for every element, so R and V do not change a bit.
template <int R, int V>
HWY_INLINE void AddProducts(const float* rows, std::int64_t row_stride, const float* columns,
                            std::int64_t vector_stride, std::int64_t step, std::int64_t depth,
                            FloatVector (&sums)[R][V]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const FloatTag tag;
  for (std::int64_t i = 0; i < depth; ++i) {
    FloatVector column[V];
    for (int v = 0; v < V; ++v) column[v] = hn::LoadU(tag, columns + v * vector_stride + i * step);
    for (int r = 0; r < R; ++r) {
      const FloatVector row = hn::Set(tag, rows[r * row_stride + i]);
      for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(row, column[v], sums[r][v]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops
HWY_AFTER_NAMESPACE();

#endif
