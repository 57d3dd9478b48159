// Attention with bf16 dot products: each 32-bit lane multiplies a pair of bf16 numbers and adds to
// fp32 (vdpbf16ps).
//
// Packed layouts, chosen so that the inner loops only load, broadcast and multiply:
//   keys    [key block of 16][head pair][16 keys x 2]       one register = one pair of head columns
//   of 16 keys values  [key pair][head block of 16][16 columns x 2]    one register = 16 head
//   columns of two keys queries [row][head pair x 2]                            one 32-bit
//   broadcast = one pair of head columns
#include <immintrin.h>

#include <cstring>

#include "engine/ops/attention_driver.h"
#include "engine/ops/attention_kernels.h"
#include "engine/ops/bf16_attention-inl.h"

REPRISE_BEGIN_AVX512BF16
namespace reprise::engine::ops::internal {
namespace {

// out[r, 16 * v + lane] = sum over pairs of row pair x column pair, for R rows and V registers of
// columns. The sum over pairs runs in ascending order for every element, so R and V do not change a
// bit.
template <std::int64_t R, int V>
inline void PairProducts(const Bf16* rows, std::int64_t row_stride, const Bf16* columns,
                         std::int64_t column_stride, std::int64_t pair_stride, std::int64_t pairs,
                         __m512 (&sums)[R][V]) {
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sums[r][v] = _mm512_setzero_ps();
  }
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    __m512bh column[V];
    for (int v = 0; v < V; ++v) {
      column[v] = (__m512bh)_mm512_loadu_si512(columns + v * column_stride + pair * pair_stride);
    }
    for (int r = 0; r < R; ++r) {
      std::int32_t both;
      std::memcpy(&both, rows + r * row_stride + 2 * pair, sizeof(both));
      const __m512bh row = (__m512bh)_mm512_set1_epi32(both);
      for (int v = 0; v < V; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], row, column[v]);
    }
  }
}

// `keys_left`: keys from the first column on; the maxima leave the padding after them out.
template <std::int64_t R, int V>
inline void StoreScores(const Bf16* queries, std::int64_t query_stride, const Bf16* keys,
                        std::int64_t pairs, std::int64_t keys_left, float* out,
                        std::int64_t out_stride, __m512 (&maxima)[R]) {
  __m512 sums[R][V];
  PairProducts<R, V>(queries, query_stride, keys, /*column_stride=*/pairs * 32, /*pair_stride=*/32,
                     pairs, sums);
  for (int v = 0; v < V; ++v) {
    const __mmask16 mask = TailMask(keys_left - v * kLanes);
    for (int r = 0; r < R; ++r) {
      _mm512_storeu_ps(out + r * out_stride + v * kLanes, sums[r][v]);
      maxima[r] = _mm512_mask_max_ps(maxima[r], mask, maxima[r], sums[r][v]);
    }
  }
}

template <std::int64_t R>
void ScoreRows(const Bf16* queries, std::int64_t query_stride, const Bf16* keys, std::int64_t n,
               std::int64_t pairs, float* out, std::int64_t out_stride, float* row_maxima) {
  __m512 maxima[R];
  for (int r = 0; r < R; ++r) maxima[r] = _mm512_set1_ps(-__builtin_inff());
  const std::int64_t blocks = Blocks(n);
  std::int64_t block = 0;
  for (; block + 4 <= blocks; block += 4) {
    StoreScores<R, 4>(queries, query_stride, keys + block * pairs * 32, pairs, n - block * kLanes,
                      out + block * kLanes, out_stride, maxima);
  }
  for (; block + 2 <= blocks; block += 2) {
    StoreScores<R, 2>(queries, query_stride, keys + block * pairs * 32, pairs, n - block * kLanes,
                      out + block * kLanes, out_stride, maxima);
  }
  for (; block < blocks; ++block) {
    StoreScores<R, 1>(queries, query_stride, keys + block * pairs * 32, pairs, n - block * kLanes,
                      out + block * kLanes, out_stride, maxima);
  }
  for (int r = 0; r < R; ++r) row_maxima[r] = _mm512_reduce_max_ps(maxima[r]);
}

// The probabilities of a tile of scores, rounded; zero for columns past the last key.
template <std::int64_t R, int V>
inline void StoreProbs(const Bf16* queries, std::int64_t query_stride, const Bf16* keys,
                       std::int64_t pairs, std::int64_t keys_left, __m512 factor,
                       const float* shifts, Bf16* out, std::int64_t out_stride) {
  __m512 sums[R][V];
  PairProducts<R, V>(queries, query_stride, keys, /*column_stride=*/pairs * 32, /*pair_stride=*/32,
                     pairs, sums);
  for (int r = 0; r < R; ++r) {
    const __m512 shift = _mm512_set1_ps(shifts[r]);
    for (int v = 0; v < V; ++v) {
      const __m512 probs = Exp2(_mm512_fmsub_ps(sums[r][v], factor, shift));
      const __mmask16 real = TailMask(keys_left - v * kLanes);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + r * out_stride + v * kLanes),
                          (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_mov_ps(real, probs)));
    }
  }
}

template <std::int64_t R>
void ProbRows(const Bf16* queries, std::int64_t query_stride, const Bf16* keys, std::int64_t n,
              std::int64_t pairs, float scale, const float* maxima, Bf16* out,
              std::int64_t out_stride) {
  const float log2_scale = scale * kLog2E;
  const __m512 factor = _mm512_set1_ps(log2_scale);
  float shifts[R];
  for (int r = 0; r < R; ++r) shifts[r] = maxima[r] * log2_scale;
  const std::int64_t blocks = Blocks(n);
  std::int64_t block = 0;
  for (; block + 4 <= blocks; block += 4) {
    StoreProbs<R, 4>(queries, query_stride, keys + block * pairs * 32, pairs, n - block * kLanes,
                     factor, shifts, out + block * kLanes, out_stride);
  }
  for (; block + 2 <= blocks; block += 2) {
    StoreProbs<R, 2>(queries, query_stride, keys + block * pairs * 32, pairs, n - block * kLanes,
                     factor, shifts, out + block * kLanes, out_stride);
  }
  for (; block < blocks; ++block) {
    StoreProbs<R, 1>(queries, query_stride, keys + block * pairs * 32, pairs, n - block * kLanes,
                     factor, shifts, out + block * kLanes, out_stride);
  }
}

template <std::int64_t R, int V>
inline void StoreContext(const Bf16* probs, std::int64_t prob_stride, const Bf16* values,
                         std::int64_t pair_stride, std::int64_t pairs, const float* factors,
                         std::int64_t columns, Bf16* out, std::int64_t out_stride) {
  __m512 sums[R][V];
  PairProducts<R, V>(probs, prob_stride, values, /*column_stride=*/32, pair_stride, pairs, sums);
  for (int r = 0; r < R; ++r) {
    const __m512 factor = _mm512_set1_ps(factors[r]);
    for (int v = 0; v < V; ++v) {
      const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_mul_ps(sums[r][v], factor));
      _mm256_mask_storeu_epi16(out + r * out_stride + v * kLanes, TailMask(columns - v * kLanes),
                               (__m256i)rounded);
    }
  }
}

template <std::int64_t R>
void ContextRows(const Bf16* probs, std::int64_t prob_stride, const Bf16* values, std::int64_t n,
                 std::int64_t head_dim, const float* factors, Bf16* out, std::int64_t out_stride) {
  const std::int64_t blocks = Blocks(head_dim);
  const std::int64_t pair_stride = blocks * 32;
  std::int64_t block = 0;
  for (; block + 4 <= blocks; block += 4) {
    StoreContext<R, 4>(probs, prob_stride, values + block * 32, pair_stride, Pairs(n), factors,
                       head_dim - block * kLanes, out + block * kLanes, out_stride);
  }
  for (; block + 2 <= blocks; block += 2) {
    StoreContext<R, 2>(probs, prob_stride, values + block * 32, pair_stride, Pairs(n), factors,
                       head_dim - block * kLanes, out + block * kLanes, out_stride);
  }
  for (; block < blocks; ++block) {
    StoreContext<R, 1>(probs, prob_stride, values + block * 32, pair_stride, Pairs(n), factors,
                       head_dim - block * kLanes, out + block * kLanes, out_stride);
  }
}

struct Kernels {
  using Prob = Bf16;
  static constexpr std::int64_t kBlockRows = kBlockRowsVectors;

  static void PackKeys(const HeadView& keys, std::int64_t n, std::int64_t head_dim,
                       std::byte* out) {
    PackKeyPairs(keys, n, head_dim, Pairs(head_dim), reinterpret_cast<Bf16*>(out));
  }

  static void PackValues(const HeadView& values, std::int64_t n, std::int64_t head_dim,
                         std::byte* out) {
    auto* packed = reinterpret_cast<Bf16*>(out);
    const std::int64_t blocks = Blocks(head_dim);
    for (std::int64_t pair = 0; pair < Pairs(n); ++pair) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        const __mmask16 mask = TailMask(head_dim - block * kLanes);
        const __m256i even = _mm256_maskz_loadu_epi16(mask, Row(values, 2 * pair) + block * kLanes);
        const __m256i odd = 2 * pair + 1 < n ? _mm256_maskz_loadu_epi16(
                                                   mask, Row(values, 2 * pair + 1) + block * kLanes)
                                             : _mm256_setzero_si256();
        const __m512i interleaved = _mm512_or_si512(
            _mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
        _mm512_storeu_si512(packed + (pair * blocks + block) * 32, interleaved);
      }
    }
  }

  static void PackQueries(const HeadView& queries, std::int64_t row, std::int64_t rows,
                          std::int64_t head_dim, std::byte* out) {
    auto* packed = reinterpret_cast<Bf16*>(out);
    const std::int64_t stride = 2 * Pairs(head_dim);
    for (std::int64_t r = 0; r < rows; ++r) {
      packed[r * stride + stride - 1] = 0;  // the missing half of an odd last pair
      std::memcpy(packed + r * stride, Row(queries, row + r), head_dim * sizeof(Bf16));
    }
  }

  static void Scores(const std::byte* queries, const std::byte* keys, std::int64_t rows,
                     std::int64_t n, std::int64_t head_dim, float* out, std::int64_t out_stride,
                     float* maxima) {
    const auto* q = reinterpret_cast<const Bf16*>(queries);
    const auto* k = reinterpret_cast<const Bf16*>(keys);
    const std::int64_t pairs = Pairs(head_dim);
    const std::int64_t stride = 2 * pairs;
    switch (rows) {
      case 1:
        return ScoreRows<1>(q, stride, k, n, pairs, out, out_stride, maxima);
      case 2:
        return ScoreRows<2>(q, stride, k, n, pairs, out, out_stride, maxima);
      case 3:
        return ScoreRows<3>(q, stride, k, n, pairs, out, out_stride, maxima);
      case 4:
        return ScoreRows<4>(q, stride, k, n, pairs, out, out_stride, maxima);
      case 5:
        return ScoreRows<5>(q, stride, k, n, pairs, out, out_stride, maxima);
      default:
        return ScoreRows<kBlockRows>(q, stride, k, n, pairs, out, out_stride, maxima);
    }
  }

  static float Softmax(const float* scores, std::int64_t n, float scale, float maximum, Bf16* out) {
    return SoftmaxOfRow(scores, n, scale, maximum, out);
  }

  static void Probs(const std::byte* queries, const std::byte* keys, std::int64_t rows,
                    std::int64_t n, std::int64_t head_dim, float scale, const float* maxima,
                    Bf16* out, std::int64_t out_stride, float* /*spare*/,
                    std::int64_t /*spare_stride*/) {
    const auto* q = reinterpret_cast<const Bf16*>(queries);
    const auto* k = reinterpret_cast<const Bf16*>(keys);
    const std::int64_t pairs = Pairs(head_dim);
    const std::int64_t stride = 2 * pairs;
    switch (rows) {
      case 1:
        return ProbRows<1>(q, stride, k, n, pairs, scale, maxima, out, out_stride);
      case 2:
        return ProbRows<2>(q, stride, k, n, pairs, scale, maxima, out, out_stride);
      case 3:
        return ProbRows<3>(q, stride, k, n, pairs, scale, maxima, out, out_stride);
      case 4:
        return ProbRows<4>(q, stride, k, n, pairs, scale, maxima, out, out_stride);
      case 5:
        return ProbRows<5>(q, stride, k, n, pairs, scale, maxima, out, out_stride);
      default:
        return ProbRows<kBlockRows>(q, stride, k, n, pairs, scale, maxima, out, out_stride);
    }
  }

  static void Context(const Bf16* probs, std::int64_t prob_stride, const std::byte* values,
                      const float* factors, std::int64_t rows, std::int64_t n,
                      std::int64_t head_dim, void* context, std::int64_t first_row,
                      std::int64_t context_stride, float* /*spare*/,
                      std::int64_t /*spare_stride*/) {
    const auto* v = reinterpret_cast<const Bf16*>(values);
    Bf16* out = static_cast<Bf16*>(context) + first_row * context_stride;
    const std::int64_t to = context_stride;
    switch (rows) {
      case 1:
        return ContextRows<1>(probs, prob_stride, v, n, head_dim, factors, out, to);
      case 2:
        return ContextRows<2>(probs, prob_stride, v, n, head_dim, factors, out, to);
      case 3:
        return ContextRows<3>(probs, prob_stride, v, n, head_dim, factors, out, to);
      case 4:
        return ContextRows<4>(probs, prob_stride, v, n, head_dim, factors, out, to);
      case 5:
        return ContextRows<5>(probs, prob_stride, v, n, head_dim, factors, out, to);
      default:
        return ContextRows<kBlockRows>(probs, prob_stride, v, n, head_dim, factors, out, to);
    }
  }
};

}  // namespace

void ComputeHeadAvx512Bf16(const AttentionOptions& options, const AttentionTask& task) {
  HeadRunner<Kernels>(options, task).Compute();
}

void ReuseHeadAvx512Bf16(const AttentionOptions& options, const AttentionTask& task) {
  HeadRunner<Kernels>(options, task).Reuse();
}

void RecomputeHeadAvx512Bf16(const AttentionOptions& options, const AttentionTask& task) {
  HeadRunner<Kernels>(options, task).Recompute();
}

}  // namespace reprise::engine::ops::internal
REPRISE_END_AVX512BF16
