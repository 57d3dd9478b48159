// Attention in fp32 arithmetic for every instruction set, through Highway's run-time dispatch.
//
// Packed layouts:
//   keys   [key block of one vector][head column][lanes]   one vector = one head column of as many
//   keys as there are lanes values [key][padded head columns]                      one vector =
//   neighbouring head columns of one key
// bf16 inputs are widened while they are packed; bf16 scores are rounded by the softmax and widened
// for the product with the values.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/ops/attention_float.cc"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h.
#include <cstring>

#include "engine/ops/attention_driver.h"
#include "engine/ops/attention_kernels.h"
#include "engine/ops/float_math-inl.h"
#include "engine/ops/register_tile-inl.h"
#include "engine/ops/round_to_bf16-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::ops::internal {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

namespace tile = ops::HWY_NAMESPACE;  // what the -inl.h files define for this target

using Tag = tile::FloatTag;
using Vector = tile::FloatVector;

constexpr int kVectors = tile::kTileVectors;
constexpr std::int64_t kRows = kBlockRowsVectors;
static_assert(kRows == tile::kTileRows);
constexpr float kLog2E = 1.44269504f;

inline float Widen(float value) { return value; }
inline float Widen(BFloat16 value) { return value.ToFloat(); }
inline void NarrowRow(const float* row, std::int64_t count, float* out) {
  std::copy(row, row + count, out);
}
inline void NarrowRow(const float* row, std::int64_t count, BFloat16* out) {
  tile::RoundToBf16(row, count, out);
}

template <typename T>
const T* Row(const HeadView& view, std::int64_t row) {
  return static_cast<const T*>(view.data) + row * view.row_stride;
}

std::int64_t PaddedHead(std::int64_t head_dim) {
  return memory::AlignUp(head_dim, static_cast<std::int64_t>(hn::Lanes(Tag())));
}

// The sums that AddProducts makes of nothing.
template <int R, int V>
HWY_INLINE void Products(const float* rows, std::int64_t row_stride, const float* columns,
                         std::int64_t vector_stride, std::int64_t step, std::int64_t depth,
                         Vector (&sums)[R][V]) {
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(Tag());
  }
  tile::AddProducts(rows, row_stride, columns, vector_stride, step, depth, sums);
}

// The lanes of a vector that belong to keys, of which `keys_left` are left.
HWY_INLINE hn::Mask<Tag> FirstKeys(std::int64_t keys_left) {
  return hn::FirstN(Tag(), static_cast<std::size_t>(std::max<std::int64_t>(0, keys_left)));
}

// `keys_left`: keys from the first column on; the maxima leave the padding after them out.
template <int R, int V>
HWY_INLINE void StoreScores(const float* queries, std::int64_t query_stride, const float* keys,
                            std::int64_t head_dim, std::int64_t keys_left, float* out,
                            std::int64_t out_stride, Vector (&maxima)[R]) {
  const Tag tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  Vector sums[R][V];
  Products<R, V>(queries, query_stride, keys, head_dim * lanes, lanes, head_dim, sums);
  for (int v = 0; v < V; ++v) {
    const auto real = FirstKeys(keys_left - v * lanes);
    for (int r = 0; r < R; ++r) {
      hn::StoreU(sums[r][v], tag, out + r * out_stride + v * lanes);
      maxima[r] = hn::IfThenElse(real, hn::Max(maxima[r], sums[r][v]), maxima[r]);
    }
  }
}

template <int R>
void ScoreRows(const float* queries, std::int64_t query_stride, const float* keys, std::int64_t n,
               std::int64_t head_dim, float* out, std::int64_t out_stride, float* row_maxima) {
  const Tag tag;
  Vector maxima[R];
  for (int r = 0; r < R; ++r) maxima[r] = hn::Set(tag, -__builtin_inff());
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag()));
  const std::int64_t blocks = (n + lanes - 1) / lanes;
  std::int64_t block = 0;
  for (; block + kVectors <= blocks; block += kVectors) {
    StoreScores<R, kVectors>(queries, query_stride, keys + block * head_dim * lanes, head_dim,
                             n - block * lanes, out + block * lanes, out_stride, maxima);
  }
  for (; block < blocks; ++block) {
    StoreScores<R, 1>(queries, query_stride, keys + block * head_dim * lanes, head_dim,
                      n - block * lanes, out + block * lanes, out_stride, maxima);
  }
  for (int r = 0; r < R; ++r) row_maxima[r] = hn::GetLane(hn::MaxOfLanes(tag, maxima[r]));
}

template <int R, int V, typename T>
HWY_INLINE void StoreContext(const float* probs, std::int64_t prob_stride, const float* values,
                             std::int64_t value_stride, std::int64_t n, const float* factors,
                             std::int64_t columns, T* out, std::int64_t out_stride) {
  const Tag tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  Vector sums[R][V];
  Products<R, V>(probs, prob_stride, values, lanes, value_stride, n, sums);
  HWY_ALIGN float row[V * HWY_MAX_BYTES / sizeof(float)];
  for (int r = 0; r < R; ++r) {
    const Vector factor = hn::Set(tag, factors[r]);
    for (int v = 0; v < V; ++v) hn::StoreU(hn::Mul(sums[r][v], factor), tag, row + v * lanes);
    const std::int64_t width = std::min<std::int64_t>(columns, V * lanes);
    NarrowRow(row, width, out + r * out_stride);
  }
}

template <int R, typename T>
void ContextRows(const float* probs, std::int64_t prob_stride, const float* values, std::int64_t n,
                 std::int64_t head_dim, const float* factors, T* out, std::int64_t out_stride) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag()));
  const std::int64_t stride = PaddedHead(head_dim);
  std::int64_t column = 0;
  for (; column + kVectors * lanes <= stride; column += kVectors * lanes) {
    StoreContext<R, kVectors>(probs, prob_stride, values + column, stride, n, factors,
                              head_dim - column, out + column, out_stride);
  }
  for (; column < stride; column += lanes) {
    StoreContext<R, 1>(probs, prob_stride, values + column, stride, n, factors, head_dim - column,
                       out + column, out_stride);
  }
}

HWY_INLINE void StoreProbs(Vector probs, float* out) { hn::StoreU(probs, Tag(), out); }
HWY_INLINE void StoreProbs(Vector probs, BFloat16* out) { tile::StoreRounded(Tag(), probs, out); }

// The probabilities of a tile of scores; zero for columns past the last key.
template <int R, int V, typename P>
HWY_INLINE void StoreTileProbs(const float* queries, std::int64_t query_stride, const float* keys,
                               std::int64_t head_dim, std::int64_t keys_left, Vector factor,
                               const float* shifts, P* out, std::int64_t out_stride) {
  const Tag tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  Vector sums[R][V];
  Products<R, V>(queries, query_stride, keys, head_dim * lanes, lanes, head_dim, sums);
  for (int v = 0; v < V; ++v) {
    const auto real = FirstKeys(keys_left - v * lanes);
    for (int r = 0; r < R; ++r) {
      const Vector exponent = hn::MulSub(sums[r][v], factor, hn::Set(tag, shifts[r]));
      StoreProbs(hn::IfThenElseZero(real, tile::Exp2(exponent)), out + r * out_stride + v * lanes);
    }
  }
}

template <int R, typename P>
void ProbRows(const float* queries, std::int64_t query_stride, const float* keys, std::int64_t n,
              std::int64_t head_dim, float scale, const float* maxima, P* out,
              std::int64_t out_stride) {
  const Tag tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const float log2_scale = scale * kLog2E;
  const Vector factor = hn::Set(tag, log2_scale);
  float shifts[R];
  for (int r = 0; r < R; ++r) shifts[r] = maxima[r] * log2_scale;
  const std::int64_t blocks = (n + lanes - 1) / lanes;
  std::int64_t block = 0;
  for (; block + kVectors <= blocks; block += kVectors) {
    StoreTileProbs<R, kVectors>(queries, query_stride, keys + block * head_dim * lanes, head_dim,
                                n - block * lanes, factor, shifts, out + block * lanes, out_stride);
  }
  for (; block < blocks; ++block) {
    StoreTileProbs<R, 1>(queries, query_stride, keys + block * head_dim * lanes, head_dim,
                         n - block * lanes, factor, shifts, out + block * lanes, out_stride);
  }
}

// T: type of queries, keys, values and context. P: type of stored scores.
template <typename T, typename P>
struct Kernels {
  using Prob = P;
  static constexpr std::int64_t kBlockRows = kRows;

  static void PackKeys(const HeadView& keys, std::int64_t n, std::int64_t head_dim,
                       std::byte* out) {
    auto* packed = reinterpret_cast<float*>(out);
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag()));
    const std::int64_t padded = memory::AlignUp(n, lanes);
    for (std::int64_t key = 0; key < padded; ++key) {
      float* column = packed + key / lanes * head_dim * lanes + key % lanes;
      const T* row = key < n ? Row<T>(keys, key) : nullptr;
      for (std::int64_t c = 0; c < head_dim; ++c) {
        column[c * lanes] = row != nullptr ? Widen(row[c]) : 0.0f;
      }
    }
  }

  static void PackValues(const HeadView& values, std::int64_t n, std::int64_t head_dim,
                         std::byte* out) {
    auto* packed = reinterpret_cast<float*>(out);
    const std::int64_t stride = PaddedHead(head_dim);
    for (std::int64_t key = 0; key < n; ++key) {
      const T* row = Row<T>(values, key);
      float* to = packed + key * stride;
      for (std::int64_t c = 0; c < head_dim; ++c) to[c] = Widen(row[c]);
      for (std::int64_t c = head_dim; c < stride; ++c) to[c] = 0.0f;
    }
  }

  static void PackQueries(const HeadView& queries, std::int64_t row, std::int64_t rows,
                          std::int64_t head_dim, std::byte* out) {
    auto* packed = reinterpret_cast<float*>(out);
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* from = Row<T>(queries, row + r);
      for (std::int64_t c = 0; c < head_dim; ++c) packed[r * head_dim + c] = Widen(from[c]);
    }
  }

  static void Scores(const std::byte* queries, const std::byte* keys, std::int64_t rows,
                     std::int64_t n, std::int64_t head_dim, float* out, std::int64_t out_stride,
                     float* maxima) {
    const auto* q = reinterpret_cast<const float*>(queries);
    const auto* k = reinterpret_cast<const float*>(keys);
    if (rows == kRows)
      return ScoreRows<kRows>(q, head_dim, k, n, head_dim, out, out_stride, maxima);
    for (std::int64_t r = 0; r < rows; ++r) {
      ScoreRows<1>(q + r * head_dim, head_dim, k, n, head_dim, out + r * out_stride, out_stride,
                   maxima + r);
    }
  }

  static float Softmax(float* scores, std::int64_t n, float scale, float maximum, P* out) {
    const Tag tag;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
    // One rounded factor for all scores of the row and their maximum: its error cancels out.
    const float log2_scale = scale * kLog2E;
    const Vector factor = hn::Set(tag, log2_scale);
    const Vector shift = hn::Set(tag, maximum * log2_scale);  // scale > 0 keeps the order
    Vector sum = hn::Zero(tag);
    std::int64_t k = 0;
    for (; k + lanes <= n; k += lanes) {
      const Vector probs = tile::Exp2(hn::MulSub(hn::LoadU(tag, scores + k), factor, shift));
      sum = hn::Add(sum, probs);
      StoreProbs(probs, out + k);
    }
    if (k < n) {
      const auto left = static_cast<std::size_t>(n - k);
      const Vector exponent = hn::MulSub(hn::LoadU(tag, scores + k), factor, shift);
      const Vector probs = hn::IfThenElseZero(hn::FirstN(tag, left), tile::Exp2(exponent));
      sum = hn::Add(sum, probs);
      hn::StoreU(probs, tag, scores);  // spent by now
      NarrowRow(scores, n - k, out + k);
    }
    if (n % 2 != 0) out[n] = P{};
    return hn::GetLane(hn::SumOfLanes(tag, sum));
  }

  static void Probs(const std::byte* queries, const std::byte* keys, std::int64_t rows,
                    std::int64_t n, std::int64_t head_dim, float scale, const float* maxima, P* out,
                    std::int64_t out_stride, float* /*spare*/, std::int64_t /*spare_stride*/) {
    const auto* q = reinterpret_cast<const float*>(queries);
    const auto* k = reinterpret_cast<const float*>(keys);
    if (rows == kRows) {
      return ProbRows<kRows>(q, head_dim, k, n, head_dim, scale, maxima, out, out_stride);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      ProbRows<1>(q + r * head_dim, head_dim, k, n, head_dim, scale, maxima + r,
                  out + r * out_stride, out_stride);
    }
  }

  static void Context(const P* probs, std::int64_t prob_stride, const std::byte* values,
                      const float* factors, std::int64_t rows, std::int64_t n,
                      std::int64_t head_dim, void* context, std::int64_t first_row,
                      std::int64_t context_stride, float* spare, std::int64_t spare_stride) {
    const float* wide;
    std::int64_t wide_stride;
    if constexpr (std::is_same_v<P, float>) {
      wide = probs;
      wide_stride = prob_stride;
    } else {
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t k = 0; k < n; ++k) {
          spare[r * spare_stride + k] = Widen(probs[r * prob_stride + k]);
        }
      }
      wide = spare;
      wide_stride = spare_stride;
    }
    const auto* v = reinterpret_cast<const float*>(values);
    T* out = static_cast<T*>(context) + first_row * context_stride;
    if (rows == kRows) {
      return ContextRows<kRows>(wide, wide_stride, v, n, head_dim, factors, out, context_stride);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      ContextRows<1>(wide + r * wide_stride, wide_stride, v, n, head_dim, factors + r,
                     out + r * context_stride, context_stride);
    }
  }
};

// Calls run with the kernels for the types that the options name.
template <typename Run>
void WithKernels(const AttentionOptions& options, const AttentionTask& task, Run run) {
  const bool bf16 = options.precision == DType::kBF16;
  const bool bf16_scores = options.score_format == DType::kBF16;
  if (bf16 && bf16_scores) return run(HeadRunner<Kernels<BFloat16, BFloat16>>(options, task));
  if (bf16) return run(HeadRunner<Kernels<BFloat16, float>>(options, task));
  if (bf16_scores) return run(HeadRunner<Kernels<float, BFloat16>>(options, task));
  return run(HeadRunner<Kernels<float, float>>(options, task));
}

}  // namespace

std::int64_t KeyStep() { return static_cast<std::int64_t>(hn::Lanes(Tag())); }

void ComputeHead(const AttentionOptions& options, const AttentionTask& task) {
  WithKernels(options, task, [](auto runner) { runner.Compute(); });
}

void ReuseHead(const AttentionOptions& options, const AttentionTask& task) {
  WithKernels(options, task, [](auto runner) { runner.Reuse(); });
}

void RecomputeHead(const AttentionOptions& options, const AttentionTask& task) {
  WithKernels(options, task, [](auto runner) { runner.Recompute(); });
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise::engine::ops::internal {

HWY_EXPORT(ComputeHead);
HWY_EXPORT(ReuseHead);
HWY_EXPORT(RecomputeHead);
HWY_EXPORT(KeyStep);

void ComputeHeadFloat(const AttentionOptions& options, const AttentionTask& task) {
  HWY_DYNAMIC_DISPATCH(ComputeHead)(options, task);
}

void ReuseHeadFloat(const AttentionOptions& options, const AttentionTask& task) {
  HWY_DYNAMIC_DISPATCH(ReuseHead)(options, task);
}

void RecomputeHeadFloat(const AttentionOptions& options, const AttentionTask& task) {
  HWY_DYNAMIC_DISPATCH(RecomputeHead)(options, task);
}

std::int64_t KeyStepFloat() { return HWY_DYNAMIC_DISPATCH(KeyStep)(); }

}  // namespace reprise::engine::ops::internal
#endif  // HWY_ONCE
