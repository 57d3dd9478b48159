// Attention on AMX tiles, for HeadRunner (attention_driver.h). `Tiles` is device::AmxTiles, or what
// stands in for it in tests.
//
// A tile holds 16 rows of 32 bf16 numbers (1 KiB). Packed layouts, each tile contiguous:
//   keys    [key block of 16][head step of 32][16 pairs of head columns][16 keys x 2]
//   values  [key step of 32][head block of 16][16 pairs of keys][16 columns x 2]
//   queries [row block of 16][head step of 32][16 rows][32 columns]
// Products are taken for 2 x 2 tiles of sums, which keeps four of the eight registers for operands.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "engine/device/cpu/amx_tiles.h"
#include "engine/ops/attention_driver.h"
#include "engine/ops/attention_kernels.h"
#include "engine/ops/bf16_attention-inl.h"

REPRISE_BEGIN_AVX512BF16
namespace reprise::engine::ops::internal {

template <typename Tiles>
struct AmxKernels {
  using Prob = Bf16;
  static constexpr std::int64_t kBlockRows = kBlockRowsAmx;
  static_assert(kBlockRows == 2 * device::kTileRows);

  static void PackKeys(const HeadView& keys, std::int64_t n, std::int64_t head_dim,
                       std::byte* out) {
    auto* packed = reinterpret_cast<Bf16*>(out);
    const std::int64_t steps = HeadSteps(head_dim);
    PackKeyPairs(keys, n, head_dim, steps * kStepPairs, packed);
    if (Blocks(n) % 2 != 0) {  // blocks are taken in twos
      const std::int64_t block = steps * kTileElements;
      std::memset(packed + Blocks(n) * block, 0, block * sizeof(Bf16));
    }
  }

  static void PackValues(const HeadView& values, std::int64_t n, std::int64_t head_dim,
                         std::byte* out) {
    auto* packed = reinterpret_cast<Bf16*>(out);
    const std::int64_t blocks = EvenBlocks(head_dim);
    for (std::int64_t step = 0; step < KeySteps(n); ++step) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        const __mmask16 mask = TailMask(head_dim - block * kLanes);
        for (std::int64_t pair = 0; pair < kStepPairs; ++pair) {
          const std::int64_t key = step * kStep + 2 * pair;
          const __m512i even = WidenedValues(values, key, n, block * kLanes, mask);
          const __m512i odd = WidenedValues(values, key + 1, n, block * kLanes, mask);
          _mm512_storeu_si512(packed + (step * blocks + block) * kTileElements + pair * 32,
                              _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
        }
      }
    }
  }

  static void PackQueries(const HeadView& queries, std::int64_t row, std::int64_t rows,
                          std::int64_t head_dim, std::byte* out) {
    auto* packed = reinterpret_cast<Bf16*>(out);
    const std::int64_t steps = HeadSteps(head_dim);
    for (std::int64_t r = 0; r < kBlockRows; ++r) {
      for (std::int64_t step = 0; step < steps; ++step) {
        const __m512i columns =
            r < rows ? LoadPairs(Row(queries, row + r) + step * kStep, head_dim - step * kStep)
                     : _mm512_setzero_si512();
        _mm512_storeu_si512(
            packed + ((r / device::kTileRows) * steps + step) * kTileElements + (r % 16) * 32,
            columns);
      }
    }
  }

  static void Scores(const std::byte* queries, const std::byte* keys, std::int64_t rows,
                     std::int64_t n, std::int64_t head_dim, float* out, std::int64_t out_stride,
                     float* maxima) {
    RawScores(queries, keys, n, head_dim, out, out_stride);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* scores = out + r * out_stride;
      __m512 maximum = _mm512_set1_ps(-__builtin_inff());
      for (std::int64_t k = 0; k < n; k += kLanes) {
        maximum =
            _mm512_mask_max_ps(maximum, TailMask(n - k), maximum, _mm512_loadu_ps(scores + k));
      }
      maxima[r] = _mm512_reduce_max_ps(maximum);
    }
  }

  static float Softmax(const float* scores, std::int64_t n, float scale, float maximum, Bf16* out) {
    return SoftmaxOfRow(scores, n, scale, maximum, out);
  }

  static void Probs(const std::byte* queries, const std::byte* keys, std::int64_t rows,
                    std::int64_t n, std::int64_t head_dim, float scale, const float* maxima,
                    Bf16* out, std::int64_t out_stride, float* spare, std::int64_t spare_stride) {
    RawScores(queries, keys, n, head_dim, spare, spare_stride);
    for (std::int64_t r = 0; r < rows; ++r) {
      SoftmaxOfRow(spare + r * spare_stride, n, scale, maxima[r], out + r * out_stride);
    }
  }

  // `spare` holds kBlockRows rows; the probabilities may be read from where later layers read them,
  // so nothing before or after them is touched.
  static void Context(const Bf16* probs, std::int64_t prob_stride, const std::byte* values,
                      const float* factors, std::int64_t rows, std::int64_t n,
                      std::int64_t head_dim, void* context, std::int64_t first_row,
                      std::int64_t context_stride, float* spare, std::int64_t /*spare_stride*/) {
    const ProbTiles tiles(probs, prob_stride, rows, n, reinterpret_cast<Bf16*>(spare));
    Bf16* out = static_cast<Bf16*>(context) + first_row * context_stride;
    const std::int64_t blocks = EvenBlocks(head_dim);
    for (std::int64_t block = 0; block < blocks; block += 2) {
      ZeroSums();
      for (std::int64_t step = 0; step < KeySteps(n); ++step) {
        tiles.Load(step);
        const Bf16* tile =
            reinterpret_cast<const Bf16*>(values) + (step * blocks + block) * kTileElements;
        MultiplySums(tile, tile + kTileElements);
      }
      StoreContext(factors, rows, head_dim - block * kLanes, out + block * kLanes, context_stride);
    }
  }

 private:
  static constexpr std::int64_t kStep = 32;  // columns of an A tile, rows of the matrix in a B tile
  static constexpr std::int64_t kStepPairs = kStep / 2;
  static constexpr std::int64_t kTileElements = device::kTileBytes / sizeof(Bf16);
  // Registers: sums 0 to 3 by rows, A tiles 4 and 5, B tiles 6 and 7.

  static std::int64_t HeadSteps(std::int64_t head_dim) { return (head_dim + kStep - 1) / kStep; }
  static std::int64_t KeySteps(std::int64_t n) { return (n + kStep - 1) / kStep; }
  static std::int64_t EvenBlocks(std::int64_t columns) { return (Blocks(columns) + 1) / 2 * 2; }

  static __m512i WidenedValues(const HeadView& values, std::int64_t key, std::int64_t n,
                               std::int64_t column, __mmask16 mask) {
    if (key >= n || mask == 0) return _mm512_setzero_si512();
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, Row(values, key) + column));
  }

  static void ZeroSums() {
    Tiles::template Zero<0>();
    Tiles::template Zero<1>();
    Tiles::template Zero<2>();
    Tiles::template Zero<3>();
  }

  // sums += (A tiles 4 and 5) x (two B tiles in memory)
  static void MultiplySums(const Bf16* left, const Bf16* right) {
    Tiles::template Load<6>(left, device::kTileRowBytes);
    Tiles::template Load<7>(right, device::kTileRowBytes);
    Tiles::template Multiply<0, 4, 6>();
    Tiles::template Multiply<1, 4, 7>();
    Tiles::template Multiply<2, 5, 6>();
    Tiles::template Multiply<3, 5, 7>();
  }

  static void StoreSums(float* out, std::int64_t stride) {
    const std::int64_t bytes = stride * static_cast<std::int64_t>(sizeof(float));
    Tiles::template Store<0>(out, bytes);
    Tiles::template Store<1>(out + kLanes, bytes);
    Tiles::template Store<2>(out + device::kTileRows * stride, bytes);
    Tiles::template Store<3>(out + device::kTileRows * stride + kLanes, bytes);
  }

  // All kBlockRows rows of `out`, columns up to the next multiple of 32.
  static void RawScores(const std::byte* queries, const std::byte* keys, std::int64_t n,
                        std::int64_t head_dim, float* out, std::int64_t out_stride) {
    const auto* q = reinterpret_cast<const Bf16*>(queries);
    const auto* k = reinterpret_cast<const Bf16*>(keys);
    const std::int64_t steps = HeadSteps(head_dim);
    for (std::int64_t block = 0; block < Blocks(n); block += 2) {
      ZeroSums();
      for (std::int64_t step = 0; step < steps; ++step) {
        Tiles::template Load<4>(q + step * kTileElements, device::kTileRowBytes);
        Tiles::template Load<5>(q + (steps + step) * kTileElements, device::kTileRowBytes);
        const Bf16* left = k + (block * steps + step) * kTileElements;
        MultiplySums(left, left + steps * kTileElements);
      }
      StoreSums(out + block * kLanes, out_stride);
    }
  }

  // The probabilities of a block as A tiles: whole ones where they lie, the rest from copies.
  class ProbTiles {
   public:
    ProbTiles(const Bf16* probs, std::int64_t stride, std::int64_t rows, std::int64_t n,
              Bf16* spare)
        : probs_(probs), stride_(stride), whole_steps_(rows == kBlockRows ? n / kStep : 0) {
      const std::int64_t steps = KeySteps(n);
      copies_ = spare;
      copy_stride_ = std::max<std::int64_t>(1, steps - whole_steps_) * kStep;
      const std::int64_t first = whole_steps_ * kStep;
      if (first == n) return;
      for (std::int64_t r = 0; r < kBlockRows; ++r) {
        Bf16* to = copies_ + r * copy_stride_;
        const std::int64_t columns = r < rows ? n - first : 0;
        if (columns > 0) std::memcpy(to, probs + r * stride + first, columns * sizeof(Bf16));
        std::memset(to + columns, 0, (copy_stride_ - columns) * sizeof(Bf16));
      }
    }

    void Load(std::int64_t step) const {
      const bool whole = step < whole_steps_;
      const Bf16* from = whole ? probs_ + step * kStep : copies_ + (step - whole_steps_) * kStep;
      const std::int64_t stride = whole ? stride_ : copy_stride_;
      const std::int64_t bytes = stride * static_cast<std::int64_t>(sizeof(Bf16));
      Tiles::template Load<4>(from, bytes);
      Tiles::template Load<5>(from + device::kTileRows * stride, bytes);
    }

   private:
    const Bf16* probs_;
    std::int64_t stride_;
    std::int64_t whole_steps_;
    Bf16* copies_;
    std::int64_t copy_stride_;
  };

  // Rows of the sums times their factors, rounded; `columns` of the 32 exist.
  static void StoreContext(const float* factors, std::int64_t rows, std::int64_t columns, Bf16* out,
                           std::int64_t out_stride) {
    alignas(64) float sums[kBlockRows * 2 * kLanes];
    StoreSums(sums, 2 * kLanes);
    for (std::int64_t r = 0; r < rows; ++r) {
      const __m512 factor = _mm512_set1_ps(factors[r]);
      for (std::int64_t v = 0; v < 2; ++v) {
        const __m512 row = _mm512_load_ps(sums + r * 2 * kLanes + v * kLanes);
        _mm256_mask_storeu_epi16(out + r * out_stride + v * kLanes, TailMask(columns - v * kLanes),
                                 (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(row, factor)));
      }
    }
  }
};

}  // namespace reprise::engine::ops::internal
REPRISE_END_AVX512BF16
