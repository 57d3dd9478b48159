#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/ops/layer_norm_cpu.cc"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h.
#include <cmath>

#include "engine/ops/layer_norm.h"
#include "engine/ops/round_to_bf16-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::ops {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;

inline std::int64_t Lanes() { return static_cast<std::int64_t>(hn::Lanes(Tag())); }

void AddRow(const float* from, std::int64_t columns, float* to) {
  const Tag tag;
  std::int64_t c = 0;
  for (; c + Lanes() <= columns; c += Lanes()) {
    hn::StoreU(hn::Add(hn::LoadU(tag, to + c), hn::LoadU(tag, from + c)), tag, to + c);
  }
  for (; c < columns; ++c) to[c] += from[c];
}

float Sum(const float* row, std::int64_t columns) {
  const Tag tag;
  auto sum = hn::Zero(tag);
  std::int64_t c = 0;
  for (; c + Lanes() <= columns; c += Lanes()) sum = hn::Add(sum, hn::LoadU(tag, row + c));
  float total = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; c < columns; ++c) total += row[c];
  return total;
}

float SumOfSquares(const float* row, std::int64_t columns, float mean) {
  const Tag tag;
  const auto center = hn::Set(tag, mean);
  auto sum = hn::Zero(tag);
  std::int64_t c = 0;
  for (; c + Lanes() <= columns; c += Lanes()) {
    const auto difference = hn::Sub(hn::LoadU(tag, row + c), center);
    sum = hn::MulAdd(difference, difference, sum);
  }
  float total = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; c < columns; ++c) total += (row[c] - mean) * (row[c] - mean);
  return total;
}

struct Statistics {
  float mean;
  float scale;  // 1 / sqrt(variance + eps)
};

Statistics Measure(const float* row, std::int64_t columns, float eps) {
  const float mean = Sum(row, columns) / static_cast<float>(columns);
  const float variance = SumOfSquares(row, columns, mean) / static_cast<float>(columns);
  return {mean, 1.0f / std::sqrt(variance + eps)};
}

using Vector = hn::Vec<Tag>;
HWY_INLINE void Store(Vector value, float* out) { hn::StoreU(value, Tag(), out); }
HWY_INLINE void Store(Vector value, BFloat16* out) { StoreRounded(Tag(), value, out); }
inline void Store(float value, float* out) { *out = value; }
inline void Store(float value, BFloat16* out) { *out = BFloat16::FromFloat(value); }

// `out` may be `row`.
template <typename Out>
void Normalize(const float* row, std::int64_t columns, const LayerNormWeights& norm, Out* out) {
  const Tag tag;
  const Statistics statistics = Measure(row, columns, norm.eps);
  const auto center = hn::Set(tag, statistics.mean);
  const auto factor = hn::Set(tag, statistics.scale);
  std::int64_t c = 0;
  for (; c + Lanes() <= columns; c += Lanes()) {
    const auto normalized = hn::Mul(hn::Sub(hn::LoadU(tag, row + c), center), factor);
    Store(hn::MulAdd(normalized, hn::LoadU(tag, norm.gamma.data() + c),
                     hn::LoadU(tag, norm.beta.data() + c)),
          out + c);
  }
  for (; c < columns; ++c) {
    Store((row[c] - statistics.mean) * statistics.scale * norm.gamma[c] + norm.beta[c], out + c);
  }
}

void FinishPostNormRow(const AddLayerNormArgs& args, std::int64_t row, float* hidden) {
  const std::int64_t columns = args.hidden.columns;
  Normalize(hidden, columns, *args.norm, hidden);
  if (args.operand == nullptr) return;
  if (args.operand_dtype == DType::kBF16) {
    RoundToBf16(hidden, columns, static_cast<BFloat16*>(args.operand) + row * columns);
  } else if (float* operand = static_cast<float*>(args.operand) + row * columns;
             operand != hidden) {
    std::copy(hidden, hidden + columns, operand);
  }
}

void FinishPreNormRow(const AddLayerNormArgs& args, std::int64_t row, const float* hidden) {
  const std::int64_t columns = args.hidden.columns;
  if (args.norm == nullptr || args.operand == nullptr) return;
  if (args.operand_dtype == DType::kBF16) {
    Normalize(hidden, columns, *args.norm, static_cast<BFloat16*>(args.operand) + row * columns);
  } else {
    Normalize(hidden, columns, *args.norm, static_cast<float*>(args.operand) + row * columns);
  }
}

}  // namespace

void AddLayerNormRow(const AddLayerNormArgs& args, std::int64_t row) {
  float* hidden = args.hidden.row(row);
  if (args.delta != nullptr) {
    const PanelLayout& layout = args.delta_layout;
    for (std::int64_t panel = 0; panel < layout.panels(); ++panel) {
      AddRow(args.delta + layout.offset(panel, row), layout.width(panel),
             hidden + panel * layout.panel_columns);
    }
  }
  if (args.order == NormOrder::kPost) {
    FinishPostNormRow(args, row, hidden);
  } else {
    FinishPreNormRow(args, row, hidden);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::ops {

HWY_EXPORT(AddLayerNormRow);

void AddLayerNorm(device::ThreadTeam& team, const AddLayerNormArgs& args) {
  // 16 rows of 768 floats are about one L1; fewer rows would cost more in hand-overs than they
  // spread.
  constexpr std::int64_t kRowsPerTask = 16;
  const std::int64_t tasks = (args.hidden.rows + kRowsPerTask - 1) / kRowsPerTask;
  team.ParallelFor(tasks, [&](std::int64_t task, int) {
    const std::int64_t end = std::min(args.hidden.rows, (task + 1) * kRowsPerTask);
    for (std::int64_t row = task * kRowsPerTask; row < end; ++row) {
      HWY_DYNAMIC_DISPATCH(AddLayerNormRow)(args, row);
    }
  });
}

}  // namespace reprise::engine::ops
#endif  // HWY_ONCE
