#include "engine/analysis/row_distance.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/analysis/row_distance.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::analysis::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Row i against four others at a time, which reads it once for all of them.
void AddRowDistances(std::span<const float* const> rows, std::int64_t columns,
                     std::span<double> distances) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::size_t count = rows.size();
  std::size_t pair = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t j = i + 1;
    for (; j + 4 <= count; j += 4, pair += 4) {
      auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
      for (std::int64_t k = 0; k < columns; k += lanes) {
        const auto row = hn::Load(d, rows[i] + k);
        sum0 = hn::Add(sum0, hn::AbsDiff(row, hn::Load(d, rows[j] + k)));
        sum1 = hn::Add(sum1, hn::AbsDiff(row, hn::Load(d, rows[j + 1] + k)));
        sum2 = hn::Add(sum2, hn::AbsDiff(row, hn::Load(d, rows[j + 2] + k)));
        sum3 = hn::Add(sum3, hn::AbsDiff(row, hn::Load(d, rows[j + 3] + k)));
      }
      distances[pair] += hn::GetLane(hn::SumOfLanes(d, sum0));
      distances[pair + 1] += hn::GetLane(hn::SumOfLanes(d, sum1));
      distances[pair + 2] += hn::GetLane(hn::SumOfLanes(d, sum2));
      distances[pair + 3] += hn::GetLane(hn::SumOfLanes(d, sum3));
    }
    for (; j < count; ++j, ++pair) {
      auto sum = hn::Zero(d);
      for (std::int64_t k = 0; k < columns; k += lanes) {
        sum = hn::Add(sum, hn::AbsDiff(hn::Load(d, rows[i] + k), hn::Load(d, rows[j] + k)));
      }
      distances[pair] += hn::GetLane(hn::SumOfLanes(d, sum));
    }
  }
}

}  // namespace reprise::engine::analysis::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::analysis {

HWY_EXPORT(AddRowDistances);

void AddRowDistances(std::span<const float* const> rows, std::int64_t columns,
                     std::span<double> distances) {
  HWY_DYNAMIC_DISPATCH(AddRowDistances)(rows, columns, distances);
}

}  // namespace reprise::engine::analysis
#endif
