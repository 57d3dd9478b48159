// Matrix products of bf16 pairs (vdpbf16ps): weights packed in the order in which they are read,
// the next ones prefetched, bias and activation applied while the sums are in registers.
//
// Packed: [output panel][block of 48 columns][input pair][48 columns x 2]. A register tile of 8
// rows x 3 vectors runs over all input pairs in ascending order, so a row's sums do not depend on
// the tile it falls into. All row counts are multiples of 16, so there is no other tile height.
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/ops/avx512bf16_target.h"
#include "engine/ops/linear_backend.h"
#include "engine/ops/vector_math_avx512-inl.h"

REPRISE_BEGIN_AVX512BF16
namespace reprise::engine::ops::internal {
namespace {

constexpr int kRows = 8;
constexpr int kVectors = 3;  // 8 x 3 sums fill 24 of 32 registers
constexpr std::int64_t kBlockColumns = kVectors * kLanes;
static_assert(kRowGranularity % kRows == 0);

// Lines of weights ahead of the multiplication: about as far as memory is away.
constexpr std::int64_t kPrefetchPairs = 16;

struct Panel {
  const Bf16* weights;
  const float* bias;  // padded to whole blocks
  std::int64_t columns;
  Epilogue epilogue;
  DType output;
};

// sums += x * weights for one pair of inputs; pair_of(r) is both numbers of row r in 32 bits.
template <typename PairOf>
__attribute__((always_inline)) inline void AddPair(const Bf16* line, PairOf pair_of,
                                                   __m512 (&sums)[kRows][kVectors]) {
  __m512bh column[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const Bf16* vector = line + v * kLanes * 2;
    column[v] = (__m512bh)_mm512_loadu_si512(vector);
    _mm_prefetch(reinterpret_cast<const char*>(vector + kPrefetchPairs * kBlockColumns * 2),
                 _MM_HINT_T0);
  }
  for (int r = 0; r < kRows; ++r) {
    const __m512bh row = (__m512bh)_mm512_set1_epi32(pair_of(r));
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], row, column[v]);
  }
}

// Two bf16 numbers in a row of x.
struct WholePair {
  const Bf16* rows;
  std::int64_t stride;
  int operator()(int r) const {
    int both;
    std::memcpy(&both, rows + r * stride, sizeof(both));
    return both;
  }
};

// The last number of an odd row, and zero.
struct HalfPair {
  const Bf16* rows;
  std::int64_t stride;
  int operator()(int r) const { return rows[r * stride]; }
};

// sums += rows x weights over the pairs of one input panel.
__attribute__((always_inline)) inline void AddProducts(const Bf16* rows, std::int64_t width,
                                                       const Bf16* weights,
                                                       __m512 (&sums)[kRows][kVectors]) {
  std::int64_t pair = 0;
  for (; pair < width / 2; ++pair) {
    AddPair(weights + pair * kBlockColumns * 2, WholePair{rows + 2 * pair, width}, sums);
  }
  if (width % 2 != 0) {
    AddPair(weights + pair * kBlockColumns * 2, HalfPair{rows + 2 * pair, width}, sums);
  }
}

void StoreRow(const Panel& panel, const __m512 (&sums)[kVectors], std::int64_t first_column,
              std::byte* row) {
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t column = first_column + v * kLanes;
    const __mmask16 mask = TailMask(panel.columns - column);
    const __m512 result = Apply(panel.epilogue, sums[v]);
    if (panel.output == DType::kBF16) {
      _mm256_mask_storeu_epi16(reinterpret_cast<Bf16*>(row) + column, mask,
                               (__m256i)_mm512_cvtneps_pbh(result));
    } else {
      _mm512_mask_storeu_ps(reinterpret_cast<float*>(row) + column, mask, result);
    }
  }
}

void RunTile(const LinearBlock& block, const Panel& panel, std::int64_t row, std::int64_t column,
             std::int64_t total_pairs) {
  __m512 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = _mm512_loadu_ps(panel.bias + column + v * kLanes);
    }
  }
  const Bf16* weights = panel.weights + column * total_pairs * 2;
  for (std::int64_t p = 0; p < block.x_layout.panels(); ++p) {
    const std::int64_t width = block.x_layout.width(p);
    const auto* x = reinterpret_cast<const Bf16*>(block.x_panel(p)) + row * width;
    AddProducts(x, width, weights, sums);
    weights += Pairs(width) * kBlockColumns * 2;
  }
  const std::int64_t row_bytes = panel.columns * static_cast<std::int64_t>(SizeOf(panel.output));
  for (int r = 0; r < kRows; ++r) {
    StoreRow(panel, sums[r], column, block.y_panel() + (row + r) * row_bytes);
  }
}

void RunPanel(const LinearBlock& block, const Panel& panel, std::int64_t total_pairs) {
  for (std::int64_t column = 0; column < panel.columns; column += kBlockColumns) {
    for (std::int64_t row = 0; row < block.rows; row += kRows) {
      RunTile(block, panel, row, column, total_pairs);
    }
  }
}

}  // namespace
}  // namespace reprise::engine::ops::internal
REPRISE_END_AVX512BF16

namespace reprise::engine::ops::internal {
namespace {

class Avx512Bf16Backend final : public LinearBackend {
 public:
  absl::Status Pack(const LinearOptions& options, const LinearWeights& weights);

  void Run(const LinearBlock& block) const override {
    const Panel panel = {weights_.as<Bf16>() + panel_offsets_[block.out_panel],
                         bias_.as<float>() + panel_bias_[block.out_panel],
                         block.y_layout.width(block.out_panel), epilogue_, output_};
    RunPanel(block, panel, total_pairs_);
  }
  std::int64_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }
  std::int64_t scratchpad_bytes() const override { return 0; }

 private:
  Epilogue epilogue_ = Epilogue::kNone;
  DType output_ = DType::kF32;
  std::int64_t total_pairs_ = 0;  // of all input panels
  memory::Buffer weights_;
  memory::Buffer bias_;                      // zeros where the layer has none
  std::vector<std::int64_t> panel_offsets_;  // elements into weights_
  std::vector<std::int64_t> panel_bias_;     // floats into bias_
};

absl::Status Avx512Bf16Backend::Pack(const LinearOptions& options, const LinearWeights& weights) {
  epilogue_ = options.epilogue;
  output_ = options.output;
  const PanelLayout in = InputLayout(options, 1);
  const PanelLayout out = OutputLayout(options, 1);
  for (std::int64_t p = 0; p < in.panels(); ++p) total_pairs_ += Pairs(in.width(p));
  std::int64_t columns = 0;  // padded to whole blocks
  for (std::int64_t panel = 0; panel < out.panels(); ++panel) {
    panel_offsets_.push_back(columns * total_pairs_ * 2);
    panel_bias_.push_back(columns);
    columns += memory::AlignUp(out.width(panel), kBlockColumns);
  }
  // The last prefetches reach past the last weight; within one allocation that is harmless.
  constexpr auto kElement = static_cast<std::int64_t>(sizeof(Bf16));
  REPRISE_ASSIGN_OR_RETURN(
      weights_,
      memory::Buffer::Allocate(memory::Purpose::kWeights, columns * total_pairs_ * 2 * kElement));
  REPRISE_ASSIGN_OR_RETURN(
      bias_, memory::Buffer::Allocate(memory::Purpose::kWeights,
                                      columns * static_cast<std::int64_t>(sizeof(float))));
  for (std::int64_t o = 0; o < options.out_features; ++o) {
    const std::int64_t panel = o / out.panel_columns;
    const std::int64_t column = o % out.panel_columns;
    auto* to = weights_.as<BFloat16>() + panel_offsets_[panel] +
               column / kBlockColumns * kBlockColumns * total_pairs_ * 2 +
               column % kBlockColumns * 2;
    std::int64_t pair = 0;
    for (std::int64_t p = 0; p < in.panels(); ++p) {
      const float* from = weights.weight.data() + o * options.in_features + p * in.panel_columns;
      for (std::int64_t i = 0; i < in.width(p); ++i) {
        to[(pair + i / 2) * kBlockColumns * 2 + i % 2] = BFloat16::FromFloat(from[i]);
      }
      pair += Pairs(in.width(p));
    }
    if (!weights.bias.empty()) bias_.as<float>()[panel_bias_[panel] + column] = weights.bias[o];
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinearBackend>> PackAvx512Bf16(const LinearOptions& options,
                                                              const LinearWeights& weights) {
  if (options.precision != DType::kBF16 || device::ActiveCpuIsa() < device::CpuIsa::kAvx512Bf16) {
    return absl::UnimplementedError("these products are of bf16 numbers, on AVX-512 with bf16");
  }
  auto backend = std::make_unique<Avx512Bf16Backend>();
  REPRISE_RETURN_IF_ERROR(backend->Pack(options, weights));
  return backend;
}

}  // namespace reprise::engine::ops::internal
