// Matrix products in fp32 through Highway, for instruction sets where oneDNN has no brgemm.
//
// Weights are packed as [output panel][vector of output columns][input column][lanes]. A register
// tile of 6 rows x a few vectors runs over all input columns in ascending order, so a row's sums do
// not depend on the tile it falls into.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/ops/linear_float.cc"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/check.h"
#include "engine/ops/linear_backend.h"
#include "engine/ops/register_tile-inl.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::ops::internal {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
namespace tile = ops::HWY_NAMESPACE;  // what the -inl.h files define for this target

using Tag = tile::FloatTag;
using Vector = tile::FloatVector;

constexpr int kRows = tile::kTileRows;
constexpr int kVectors = tile::kTileVectors;

// erf by Abramowitz and Stegun 7.1.26, absolute error 1.5e-7.
HWY_INLINE Vector Erf(Vector x) {
  const Tag tag;
  const Vector a = hn::Abs(x);
  const Vector t =
      hn::Div(hn::Set(tag, 1.0f), hn::MulAdd(a, hn::Set(tag, 0.3275911f), hn::Set(tag, 1.0f)));
  Vector p = hn::Set(tag, 1.061405429f);
  p = hn::MulAdd(p, t, hn::Set(tag, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(tag, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(tag, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(tag, 0.254829592f));
  const Vector tail = hn::Mul(hn::Mul(p, t), hn::Exp(tag, hn::Neg(hn::Mul(a, a))));
  return hn::CopySign(hn::Sub(hn::Set(tag, 1.0f), tail), x);
}

HWY_INLINE Vector Apply(Epilogue epilogue, Vector x) {
  const Tag tag;
  const Vector half = hn::Set(tag, 0.5f);
  switch (epilogue) {
    case Epilogue::kNone:
      return x;
    case Epilogue::kRelu:
      return hn::Max(x, hn::Zero(tag));
    case Epilogue::kTanh:
      return hn::Tanh(tag, x);
    case Epilogue::kGeluErf: {
      const Vector half_x = hn::Mul(half, x);
      return hn::MulAdd(half_x, Erf(hn::Mul(x, hn::Set(tag, 0.70710678f))), half_x);
    }
    case Epilogue::kGeluTanh: {
      const Vector cube = hn::Mul(hn::Mul(x, x), x);
      const Vector inner =
          hn::Mul(hn::MulAdd(cube, hn::Set(tag, 0.044715f), x), hn::Set(tag, 0.79788456f));
      const Vector half_x = hn::Mul(half, x);
      return hn::MulAdd(half_x, hn::Tanh(tag, inner), half_x);
    }
  }
  return x;
}

struct Panel {
  const float* weights;  // packed
  const float* bias;     // padded to whole vectors
  std::int64_t in_features;
  std::int64_t columns;
  Epilogue epilogue;
};

// R rows x V vectors of one output panel.
template <int R, int V>
HWY_INLINE void Tile(const LinearBlock& block, const Panel& panel, std::int64_t row,
                     std::int64_t vector) {
  const Tag tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  Vector sums[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sums[r][v] = hn::LoadU(tag, panel.bias + (vector + v) * lanes);
  }
  const float* weights = panel.weights + vector * panel.in_features * lanes;
  for (std::int64_t p = 0; p < block.x_layout.panels(); ++p) {
    const std::int64_t width = block.x_layout.width(p);
    const float* x = reinterpret_cast<const float*>(block.x_panel(p)) + row * width;
    tile::AddProducts(x, width, weights, panel.in_features * lanes, lanes, width, sums);
    weights += width * lanes;
  }
  auto* y = reinterpret_cast<float*>(block.y_panel()) + row * panel.columns;
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      const Vector result = Apply(panel.epilogue, sums[r][v]);
      const std::int64_t first = (vector + v) * lanes;
      if (first + lanes <= panel.columns) {
        hn::StoreU(result, tag, y + r * panel.columns + first);
      } else {
        HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)];
        hn::StoreU(result, tag, tail);
        std::copy(tail, tail + (panel.columns - first), y + r * panel.columns + first);
      }
    }
  }
}

template <int R>
HWY_INLINE void RowsOfPanel(const LinearBlock& block, const Panel& panel, std::int64_t row) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag()));
  const std::int64_t vectors = (panel.columns + lanes - 1) / lanes;
  std::int64_t vector = 0;
  for (; vector + kVectors <= vectors; vector += kVectors) {
    Tile<R, kVectors>(block, panel, row, vector);
  }
  for (; vector < vectors; ++vector) Tile<R, 1>(block, panel, row, vector);
}

}  // namespace

std::int64_t VectorLanes() { return static_cast<std::int64_t>(hn::Lanes(Tag())); }

void RunPanel(const LinearBlock& block, const float* weights, const float* bias,
              std::int64_t in_features, Epilogue epilogue) {
  const Panel panel = {weights, bias, in_features, block.y_layout.width(block.out_panel), epilogue};
  std::int64_t row = 0;
  for (; row + kRows <= block.rows; row += kRows) RowsOfPanel<kRows>(block, panel, row);
  for (; row + 2 <= block.rows; row += 2) RowsOfPanel<2>(block, panel, row);
  for (; row < block.rows; ++row) RowsOfPanel<1>(block, panel, row);
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::ops::internal {

HWY_EXPORT(VectorLanes);
HWY_EXPORT(RunPanel);

namespace {

class FloatBackend final : public LinearBackend {
 public:
  absl::Status Pack(const LinearOptions& options, const LinearWeights& weights);

  void Run(const LinearBlock& block) const override {
    HWY_DYNAMIC_DISPATCH(RunPanel)
    (block, weights_.as<float>() + panel_offsets_[block.out_panel],
     bias_.as<float>() + panel_bias_[block.out_panel], in_features_, epilogue_);
  }
  std::int64_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }
  std::int64_t scratchpad_bytes() const override { return 0; }

 private:
  std::int64_t in_features_ = 0;
  Epilogue epilogue_ = Epilogue::kNone;
  memory::Buffer weights_;
  memory::Buffer bias_;                      // zeros where the layer has none
  std::vector<std::int64_t> panel_offsets_;  // floats into weights_
  std::vector<std::int64_t> panel_bias_;     // floats into bias_
};

absl::Status FloatBackend::Pack(const LinearOptions& options, const LinearWeights& weights) {
  in_features_ = options.in_features;
  epilogue_ = options.epilogue;
  const std::int64_t lanes = HWY_DYNAMIC_DISPATCH(VectorLanes)();
  const PanelLayout out = OutputLayout(options, 1);
  std::int64_t columns = 0;  // padded to whole vectors
  for (std::int64_t panel = 0; panel < out.panels(); ++panel) {
    panel_offsets_.push_back(columns * in_features_);
    panel_bias_.push_back(columns);
    columns += memory::AlignUp(out.width(panel), lanes);
  }
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  REPRISE_ASSIGN_OR_RETURN(weights_, memory::Buffer::Allocate(memory::Purpose::kWeights,
                                                              columns * in_features_ * kFloat));
  REPRISE_ASSIGN_OR_RETURN(bias_,
                           memory::Buffer::Allocate(memory::Purpose::kWeights, columns * kFloat));
  for (std::int64_t o = 0; o < options.out_features; ++o) {
    const std::int64_t panel = o / out.panel_columns;
    const std::int64_t column = o % out.panel_columns;
    float* to = weights_.as<float>() + panel_offsets_[panel] +
                column / lanes * in_features_ * lanes + column % lanes;
    for (std::int64_t i = 0; i < in_features_; ++i) {
      to[i * lanes] = weights.weight[o * in_features_ + i];
    }
    if (!weights.bias.empty()) bias_.as<float>()[panel_bias_[panel] + column] = weights.bias[o];
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinearBackend>> PackFloat(const LinearOptions& options,
                                                         const LinearWeights& weights) {
  auto backend = std::make_unique<FloatBackend>();
  REPRISE_RETURN_IF_ERROR(backend->Pack(options, weights));
  return backend;
}

}  // namespace reprise::engine::ops::internal
#endif  // HWY_ONCE
