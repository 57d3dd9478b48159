// Matrix products on AMX tiles. `Tiles` is device::AmxTiles, or what stands in for it in tests.
//
// A tile of activations holds 16 rows x 32 inputs, one of weights 16 pairs of inputs x 16 outputs
// (1 KiB each). Packed weights: [output panel][block of 32 outputs][input step of 32][2 tiles]. A
// row block's activations are packed once per output panel, [row block of 16][input step] tiles, so
// that no tile is gathered from far apart rows again and again. 2 x 2 tiles of sums run over all
// inputs in ascending order, so a row's sums do not depend on the rows beside it.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <vector>

#include "engine/check.h"
#include "engine/device/cpu/amx_tiles.h"
#include "engine/ops/avx512bf16_target.h"
#include "engine/ops/linear_backend.h"
#include "engine/ops/vector_math_avx512-inl.h"

namespace reprise::engine::ops::internal {

// How weights are cut into tiles.
struct AmxLayout {
  static constexpr std::int64_t kStep = 32;          // inputs of a tile
  static constexpr std::int64_t kBlockColumns = 32;  // outputs of two tiles
  static constexpr std::int64_t kTileElements = device::kTileBytes / 2;

  // Input panels are padded to whole steps one by one.
  static std::int64_t Steps(const PanelLayout& in) {
    std::int64_t steps = 0;
    for (std::int64_t p = 0; p < in.panels(); ++p) steps += StepsOf(in.width(p));
    return steps;
  }
  static std::int64_t StepsOf(std::int64_t width) { return (width + kStep - 1) / kStep; }
  static std::int64_t Blocks(std::int64_t columns) {
    return (columns + kBlockColumns - 1) / kBlockColumns;
  }
  // Where the weight of input `input` of the step and output `output` of the block lies in them.
  static std::int64_t Element(std::int64_t input, std::int64_t output) {
    return output / 16 * kTileElements + input / 2 * 32 + output % 16 * 2 + input % 2;
  }
};

// One output panel of a dense layer.
struct AmxPanel {
  const std::uint16_t* weights = nullptr;  // bf16, packed
  const float* bias = nullptr;             // padded to whole blocks
  std::int64_t columns = 0;
  std::int64_t steps = 0;
  Epilogue epilogue = Epilogue::kNone;
  DType output = DType::kF32;
};

}  // namespace reprise::engine::ops::internal

REPRISE_BEGIN_AVX512BF16
namespace reprise::engine::ops::internal {

template <typename Tiles>
class AmxProduct {
 public:
  // `packed`: kTileBytes * steps for each 16 rows of the block.
  AmxProduct(const LinearBlock& block, const AmxPanel& panel, std::uint16_t* packed)
      : block_(block), panel_(panel), packed_(packed) {}

  void Run() {
    PackRows();
    for (std::int64_t b = 0; b < AmxLayout::Blocks(panel_.columns); ++b) {
      const std::uint16_t* weights = panel_.weights + b * panel_.steps * 2 * kTileElements;
      std::int64_t row = 0;
      for (; row + 2 * kRows <= block_.rows; row += 2 * kRows) RunTiles<2>(row, b, weights);
      if (row < block_.rows) RunTiles<1>(row, b, weights);
    }
  }

 private:
  static constexpr std::int64_t kRows = device::kTileRows;
  static constexpr std::int64_t kTileElements = AmxLayout::kTileElements;
  // Tiles of weights ahead of the multiplication; they come from memory when rows are few.
  static constexpr std::int64_t kPrefetchTiles = 8;

  void PackRows() const {
    std::int64_t first_step = 0;
    for (std::int64_t p = 0; p < block_.x_layout.panels(); ++p) {
      const std::int64_t width = block_.x_layout.width(p);
      const auto* x = reinterpret_cast<const std::uint16_t*>(block_.x_panel(p));
      for (std::int64_t row = 0; row < block_.rows; ++row) {
        for (std::int64_t step = 0; step < AmxLayout::StepsOf(width); ++step) {
          const std::int64_t left = width - step * AmxLayout::kStep;
          std::uint16_t* tile =
              packed_ + (row / kRows * panel_.steps + first_step + step) * kTileElements;
          _mm512_storeu_si512(tile + row % kRows * 32,
                              LoadPairs(x + row * width + step * AmxLayout::kStep, left));
        }
      }
      first_step += AmxLayout::StepsOf(width);
    }
  }

  // kHeight tiles of 16 rows from `row` on, the 32 outputs of block `b`.
  template <int kHeight>
  void RunTiles(std::int64_t row, std::int64_t b, const std::uint16_t* weights) const {
    const std::uint16_t* upper = packed_ + row / kRows * panel_.steps * kTileElements;
    const std::uint16_t* lower = upper + panel_.steps * kTileElements;
    Tiles::template Zero<0>();
    Tiles::template Zero<1>();
    if constexpr (kHeight == 2) {
      Tiles::template Zero<2>();
      Tiles::template Zero<3>();
    }
    for (std::int64_t step = 0; step < panel_.steps; ++step) {
      const std::uint16_t* tiles = weights + step * 2 * kTileElements;
      for (std::int64_t line = 0; line < 2 * kTileElements; line += 32) {
        _mm_prefetch(reinterpret_cast<const char*>(tiles + kPrefetchTiles * kTileElements + line),
                     _MM_HINT_T0);
      }
      Tiles::template Load<4>(upper + step * kTileElements, device::kTileRowBytes);
      Tiles::template Load<6>(tiles, device::kTileRowBytes);
      Tiles::template Load<7>(tiles + kTileElements, device::kTileRowBytes);
      Tiles::template Multiply<0, 4, 6>();
      Tiles::template Multiply<1, 4, 7>();
      if constexpr (kHeight == 2) {
        Tiles::template Load<5>(lower + step * kTileElements, device::kTileRowBytes);
        Tiles::template Multiply<2, 5, 6>();
        Tiles::template Multiply<3, 5, 7>();
      }
    }
    alignas(64) float sums[2 * kRows * 32];
    constexpr std::int64_t kSumBytes = 32 * sizeof(float);
    Tiles::template Store<0>(sums, kSumBytes);
    Tiles::template Store<1>(sums + 16, kSumBytes);
    if constexpr (kHeight == 2) {
      Tiles::template Store<2>(sums + kRows * 32, kSumBytes);
      Tiles::template Store<3>(sums + kRows * 32 + 16, kSumBytes);
    }
    for (std::int64_t r = 0; r < kHeight * kRows; ++r) {
      StoreRow(sums + r * 32, row + r, b * AmxLayout::kBlockColumns);
    }
  }

  void StoreRow(const float* sums, std::int64_t row, std::int64_t first_column) const {
    const std::int64_t start = row * panel_.columns;
    for (std::int64_t column = first_column; column < first_column + 32; column += 16) {
      const std::int64_t left = panel_.columns - column;
      if (left <= 0) return;
      const __mmask16 mask = TailMask(left);
      const __m512 sum = _mm512_add_ps(_mm512_load_ps(sums + (column - first_column)),
                                       _mm512_loadu_ps(panel_.bias + column));
      const __m512 result = Apply(panel_.epilogue, sum);
      if (panel_.output == DType::kBF16) {
        _mm256_mask_storeu_epi16(
            reinterpret_cast<std::uint16_t*>(block_.y_panel()) + start + column, mask,
            (__m256i)_mm512_cvtneps_pbh(result));
      } else {
        _mm512_mask_storeu_ps(reinterpret_cast<float*>(block_.y_panel()) + start + column, mask,
                              result);
      }
    }
  }

  const LinearBlock& block_;
  const AmxPanel& panel_;
  std::uint16_t* packed_;
};

}  // namespace reprise::engine::ops::internal
REPRISE_END_AVX512BF16

namespace reprise::engine::ops::internal {

// Weights packed for AmxProduct.
template <typename Tiles>
class AmxBackend final : public LinearBackend {
 public:
  absl::Status Pack(const LinearOptions& options, const LinearWeights& weights) {
    epilogue_ = options.epilogue;
    output_ = options.output;
    const PanelLayout in = InputLayout(options, 1);
    const PanelLayout out = OutputLayout(options, 1);
    steps_ = AmxLayout::Steps(in);
    std::int64_t blocks = 0;
    for (std::int64_t panel = 0; panel < out.panels(); ++panel) {
      first_blocks_.push_back(blocks);
      blocks += AmxLayout::Blocks(out.width(panel));
    }
    REPRISE_ASSIGN_OR_RETURN(weights_,
                             memory::Buffer::Allocate(memory::Purpose::kWeights,
                                                      blocks * steps_ * 2 * device::kTileBytes));
    REPRISE_ASSIGN_OR_RETURN(
        bias_, memory::Buffer::Allocate(
                   memory::Purpose::kWeights,
                   blocks * AmxLayout::kBlockColumns * static_cast<std::int64_t>(sizeof(float))));
    for (std::int64_t o = 0; o < options.out_features; ++o) {
      const std::int64_t panel = o / out.panel_columns, column = o % out.panel_columns;
      const std::int64_t block = first_blocks_[panel] + column / AmxLayout::kBlockColumns;
      const std::int64_t within = column % AmxLayout::kBlockColumns;
      auto* to = weights_.as<BFloat16>() + block * steps_ * 2 * AmxLayout::kTileElements;
      std::int64_t step = 0;
      for (std::int64_t p = 0; p < in.panels(); ++p) {
        const float* from = weights.weight.data() + o * options.in_features + p * in.panel_columns;
        for (std::int64_t i = 0; i < in.width(p); ++i) {
          to[(step + i / AmxLayout::kStep) * 2 * AmxLayout::kTileElements +
             AmxLayout::Element(i % AmxLayout::kStep, within)] = BFloat16::FromFloat(from[i]);
        }
        step += AmxLayout::StepsOf(in.width(p));
      }
      if (!weights.bias.empty()) {
        bias_.as<float>()[block * AmxLayout::kBlockColumns + within] = weights.bias[o];
      }
    }
    return absl::OkStatus();
  }

  void Run(const LinearBlock& block) const override {
    const std::int64_t first = first_blocks_[block.out_panel];
    const AmxPanel panel = {
        .weights = weights_.as<std::uint16_t>() + first * steps_ * 2 * AmxLayout::kTileElements,
        .bias = bias_.as<float>() + first * AmxLayout::kBlockColumns,
        .columns = block.y_layout.width(block.out_panel),
        .steps = steps_,
        .epilogue = epilogue_,
        .output = output_};
    Tiles::Configure();
    AmxProduct<Tiles>(block, panel, reinterpret_cast<std::uint16_t*>(block.scratchpad)).Run();
    Tiles::Release();
  }
  std::int64_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }
  std::int64_t scratchpad_bytes() const override {
    return kMaxBlockRows / device::kTileRows * steps_ * device::kTileBytes;
  }

 private:
  Epilogue epilogue_ = Epilogue::kNone;
  DType output_ = DType::kF32;
  std::int64_t steps_ = 0;  // of all input panels
  memory::Buffer weights_;
  memory::Buffer bias_;                     // zeros where the layer has none
  std::vector<std::int64_t> first_blocks_;  // of each output panel
};

}  // namespace reprise::engine::ops::internal
