// Matrix products in fp32 through Highway, for any instruction set.
//
// Weights are packed as [output panel][block of kVectors vectors][input column][kVectors * lanes],
// in the order in which they are read. A register tile of kRows rows x one block runs over all
// input columns in ascending order, so a row's sums do not depend on the tile it falls into. Row
// counts are multiples of 16, so there is no other tile height.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/ops/linear_float.cc"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/check.h"
#include "engine/ops/float_math-inl.h"
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

// 8 x 3 sums fill 24 of 32 registers, 4 x 3 12 of 16.
constexpr int kRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
constexpr int kVectors = 3;
static_assert(kRowGranularity % kRows == 0);

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
      return hn::MulAdd(half_x, tile::Erf(hn::Mul(x, hn::Set(tag, 0.70710678f))), half_x);
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
  const float* bias;     // padded to whole blocks
  std::int64_t in_features;
  std::int64_t columns;
  Epilogue epilogue;
};

// kRows rows from `row` on, the block of columns that begins at `column`.
HWY_INLINE void Tile(const LinearBlock& block, const Panel& panel, std::int64_t row,
                     std::int64_t column) {
  const Tag tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = hn::LoadU(tag, panel.bias + column + v * lanes);
    }
  }
  const float* weights = panel.weights + column * panel.in_features;
  for (std::int64_t p = 0; p < block.x_layout.panels(); ++p) {
    const std::int64_t width = block.x_layout.width(p);
    const float* x = reinterpret_cast<const float*>(block.x_panel(p)) + row * width;
    tile::AddProducts(x, width, weights, lanes, kVectors * lanes, width, sums);
    weights += width * kVectors * lanes;
  }
  auto* y = reinterpret_cast<float*>(block.y_panel()) + row * panel.columns;
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t first = column + v * lanes;
      const Vector result = Apply(panel.epilogue, sums[r][v]);
      if (first + lanes <= panel.columns) {
        hn::StoreU(result, tag, y + r * panel.columns + first);
      } else if (first < panel.columns) {
        HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)];
        hn::StoreU(result, tag, tail);
        std::copy(tail, tail + (panel.columns - first), y + r * panel.columns + first);
      }
    }
  }
}

}  // namespace

std::int64_t BlockColumns() { return kVectors * static_cast<std::int64_t>(hn::Lanes(Tag())); }

void RunPanel(const LinearBlock& block, const float* weights, const float* bias,
              std::int64_t in_features, Epilogue epilogue) {
  const Panel panel = {weights, bias, in_features, block.y_layout.width(block.out_panel), epilogue};
  for (std::int64_t column = 0; column < panel.columns; column += BlockColumns()) {
    for (std::int64_t row = 0; row < block.rows; row += kRows) Tile(block, panel, row, column);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::ops::internal {

HWY_EXPORT(BlockColumns);
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
  const std::int64_t block = HWY_DYNAMIC_DISPATCH(BlockColumns)();
  const PanelLayout out = OutputLayout(options, 1);
  std::int64_t columns = 0;  // padded to whole blocks
  for (std::int64_t panel = 0; panel < out.panels(); ++panel) {
    panel_offsets_.push_back(columns * in_features_);
    panel_bias_.push_back(columns);
    columns += memory::AlignUp(out.width(panel), block);
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
                column / block * in_features_ * block + column % block;
    for (std::int64_t i = 0; i < in_features_; ++i) {
      to[i * block] = weights.weight[o * in_features_ + i];
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
