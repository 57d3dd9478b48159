#include <algorithm>
#include <cmath>

#include "engine/ops/pooling.h"

namespace reprise::engine::ops {
namespace {

// Column blocks keep the double sums in registers and L1 without a buffer as wide as the model.
constexpr std::int64_t kColumnBlock = 64;

void MeanRow(MatrixView<const float> hidden, std::int64_t begin, std::int64_t end, float* out) {
  for (std::int64_t first = 0; first < hidden.columns; first += kColumnBlock) {
    const std::int64_t width = std::min(kColumnBlock, hidden.columns - first);
    double sums[kColumnBlock] = {};
    for (std::int64_t t = begin; t < end; ++t) {
      const float* row = hidden.row(t) + first;
      for (std::int64_t c = 0; c < width; ++c) sums[c] += row[c];
    }
    for (std::int64_t c = 0; c < width; ++c) {
      out[first + c] = static_cast<float>(sums[c] / static_cast<double>(end - begin));
    }
  }
}

void NormalizeRow(float* row, std::int64_t columns) {
  double squares = 0;
  for (std::int64_t c = 0; c < columns; ++c) squares += static_cast<double>(row[c]) * row[c];
  const double norm = std::max(std::sqrt(squares), 1e-12);
  for (std::int64_t c = 0; c < columns; ++c) row[c] = static_cast<float>(row[c] / norm);
}

void CastRow(const float* from, std::int64_t columns, DType dtype, void* to, std::int64_t row) {
  if (dtype == DType::kF32) {
    std::copy(from, from + columns, static_cast<float*>(to) + row * columns);
    return;
  }
  BFloat16* out = static_cast<BFloat16*>(to) + row * columns;
  for (std::int64_t c = 0; c < columns; ++c) out[c] = BFloat16::FromFloat(from[c]);
}

}  // namespace

void PoolSequences(device::ThreadTeam& team, MatrixView<const float> hidden,
                   std::span<const std::int32_t> cu_seqlens, const PoolingOptions& options,
                   MatrixView<float> pooled) {
  team.ParallelFor(static_cast<std::int64_t>(cu_seqlens.size()) - 1,
                   [&](std::int64_t sequence, int) {
                     const std::int64_t begin = cu_seqlens[sequence];
                     float* out = pooled.row(sequence);
                     if (options.kind == PoolingKind::kMean) {
                       MeanRow(hidden, begin, cu_seqlens[sequence + 1], out);
                     } else {
                       std::copy(hidden.row(begin), hidden.row(begin) + hidden.columns, out);
                     }
                     if (options.normalize) NormalizeRow(out, pooled.columns);
                   });
}

void GatherFirstTokens(MatrixView<const float> hidden, std::span<const std::int32_t> cu_seqlens,
                       DType dtype, void* operand) {
  for (std::size_t sequence = 0; sequence + 1 < cu_seqlens.size(); ++sequence) {
    CastRow(hidden.row(cu_seqlens[sequence]), hidden.columns, dtype, operand,
            static_cast<std::int64_t>(sequence));
  }
}

}  // namespace reprise::engine::ops
