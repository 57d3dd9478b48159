// What the bf16 attention kernels share: packing of keys, softmax of a row of scores.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "engine/ops/attention.h"
#include "engine/ops/avx512bf16_target.h"
#include "engine/ops/vector_math_avx512-inl.h"

REPRISE_BEGIN_AVX512BF16
namespace reprise::engine::ops::internal {

inline constexpr float kLog2E = 1.44269504f;

inline std::int64_t Blocks(std::int64_t count) { return (count + kLanes - 1) / kLanes; }

inline const Bf16* Row(const HeadView& view, std::int64_t row) {
  return static_cast<const Bf16*>(view.data) + row * view.row_stride;
}

// rows[i] lane j -> rows[j] lane i, 32-bit lanes.
inline void Transpose16x16(__m512i rows[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  __m512i u[16];
  for (int i = 0; i < 16; i += 4) {
    u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(u[i], u[i + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(u[i + 8], u[i + 12], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(u[i], u[i + 4], 0xdd);
    const __m512i d = _mm512_shuffle_i32x4(u[i + 8], u[i + 12], 0xdd);
    rows[i] = _mm512_shuffle_i32x4(a, b, 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(a, b, 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(c, d, 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

// [key block of 16][pair of head columns, `pairs` of them][16 keys x 2]; zero past the last key,
// and past head_dim as far as `pairs` reach. Requires: head_dim <= 2 * pairs.
inline void PackKeyPairs(const HeadView& keys, std::int64_t n, std::int64_t head_dim,
                         std::int64_t pairs, Bf16* out) {
  for (std::int64_t block = 0; block < Blocks(n); ++block) {
    for (std::int64_t pair = 0; pair < pairs; pair += 16) {
      __m512i lanes[16];
      for (std::int64_t i = 0; i < 16; ++i) {
        const std::int64_t row = block * kLanes + i;
        lanes[i] = row < n ? LoadPairs(Row(keys, row) + 2 * pair, head_dim - 2 * pair)
                           : _mm512_setzero_si512();
      }
      Transpose16x16(lanes);
      for (std::int64_t i = 0; i < 16 && pair + i < pairs; ++i) {
        _mm512_storeu_si512(out + (block * pairs + pair + i) * 32, lanes[i]);
      }
    }
  }
}

// Unnormalised probabilities of a row of raw scores, rounded; the sum of what they were before.
// Zero up to the next even column.
inline float SoftmaxOfRow(const float* scores, std::int64_t n, float scale, float maximum,
                          Bf16* out) {
  const float log2_scale = scale * kLog2E;
  const __m512 factor = _mm512_set1_ps(log2_scale);
  const __m512 shift = _mm512_set1_ps(maximum * log2_scale);
  __m512 sum = _mm512_setzero_ps();
  std::int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
    const __m512 probs = Exp2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + k), factor, shift));
    sum = _mm512_add_ps(sum, probs);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), (__m256i)_mm512_cvtneps_pbh(probs));
  }
  if (k < n) {
    const __m512 exponent = _mm512_fmsub_ps(_mm512_loadu_ps(scores + k), factor, shift);
    const __m512 probs = _mm512_maskz_mov_ps(TailMask(n - k), Exp2(exponent));
    sum = _mm512_add_ps(sum, probs);
    // One lane past an odd end is written too: the zero that completes the last pair.
    _mm256_mask_storeu_epi16(out + k, TailMask(2 * Pairs(n) - k),
                             (__m256i)_mm512_cvtneps_pbh(probs));
  }
  return _mm512_reduce_add_ps(sum);
}

}  // namespace reprise::engine::ops::internal
REPRISE_END_AVX512BF16
