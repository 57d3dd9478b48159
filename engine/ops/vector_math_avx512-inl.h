// Registers of 16 floats or 16 pairs of bf16 numbers, for the bf16 kernels: tails, and elementwise
// functions that are cheap and far more exact than the bf16 number that their result becomes.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "engine/ops/avx512bf16_target.h"
#include "engine/ops/linear.h"

REPRISE_BEGIN_AVX512BF16
namespace reprise::engine::ops::internal {

using Bf16 = std::uint16_t;  // bits of a BFloat16

inline constexpr std::int64_t kLanes = 16;

inline std::int64_t Pairs(std::int64_t count) { return (count + 1) / 2; }

// The first `count` of 16 lanes; all from 16 on, none below 1.
inline __mmask16 TailMask(std::int64_t count) {
  if (count >= kLanes) return 0xffff;
  return count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// Up to 32 bf16 numbers of a row as 16 pairs, zero past `count`.
inline __m512i LoadPairs(const Bf16* row, std::int64_t count) {
  const __mmask32 mask = count >= 32 ? ~__mmask32{0} : static_cast<__mmask32>((1ull << count) - 1);
  return _mm512_maskz_loadu_epi16(mask, row);
}

// 2^x for x <= 126: 2^(x - floor(x)) by a polynomial of degree 3 (relative error 0.9e-4, a
// twentieth of what rounding to bf16 does), then the exponent. Exactly 1 for 0; 0 far below.
inline __m512 Exp2(__m512 x) {
  const __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(7.7067042e-2f);
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(2.2764499e-1f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(6.9511679e-1f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, x);  // takes the floor of x itself
}

// 1 / x, relative error below 1e-8: an estimate of 14 bits and a Newton step.
inline __m512 Reciprocal(__m512 x) {
  const __m512 estimate = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(estimate, _mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(2.0f)));
}

// 1 / (1 + 2^-x)
inline __m512 Sigmoid2(__m512 x) {
  const __m512 bounded = _mm512_max_ps(x, _mm512_set1_ps(-100.0f));
  const __m512 power = Exp2(_mm512_sub_ps(_mm512_setzero_ps(), bounded));
  return Reciprocal(_mm512_add_ps(_mm512_set1_ps(1.0f), power));
}

// Abramowitz and Stegun 7.1.26, absolute error 1.5e-7, with Exp2's where |x| is small.
inline __m512 Erf(__m512 x) {
  const __m512 a = _mm512_abs_ps(x);
  const __m512 t = Reciprocal(_mm512_fmadd_ps(a, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1.0f)));
  __m512 p = _mm512_set1_ps(1.061405429f);
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
  const __m512 power = Exp2(_mm512_mul_ps(_mm512_mul_ps(a, a), _mm512_set1_ps(-1.44269504f)));
  const __m512 size = _mm512_fnmadd_ps(_mm512_mul_ps(p, t), power, _mm512_set1_ps(1.0f));
  const __m512 sign = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_and_ps(x, sign), size);
}

inline __m512 Apply(Epilogue epilogue, __m512 x) {
  constexpr float kTwoLog2E = 2.88539008f;
  switch (epilogue) {
    case Epilogue::kNone:
      return x;
    case Epilogue::kRelu:
      return _mm512_max_ps(x, _mm512_setzero_ps());
    case Epilogue::kTanh: {  // 2 / (1 + e^-2x) - 1
      const __m512 s = Sigmoid2(_mm512_mul_ps(x, _mm512_set1_ps(kTwoLog2E)));
      return _mm512_fmsub_ps(_mm512_set1_ps(2.0f), s, _mm512_set1_ps(1.0f));
    }
    case Epilogue::kGeluErf: {
      const __m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
      return _mm512_fmadd_ps(half, Erf(_mm512_mul_ps(x, _mm512_set1_ps(0.70710678f))), half);
    }
    case Epilogue::kGeluTanh: {  // x / (1 + e^-2u), u = 0.798 (x + 0.0447 x^3)
      const __m512 cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
      const __m512 u = _mm512_fmadd_ps(cube, _mm512_set1_ps(0.044715f), x);
      return _mm512_mul_ps(x, Sigmoid2(_mm512_mul_ps(u, _mm512_set1_ps(0.79788456f * kTwoLog2E))));
    }
  }
  return x;
}

}  // namespace reprise::engine::ops::internal
REPRISE_END_AVX512BF16
