// One vector per sequence: mean or first token, optionally normalised.
#pragma once

#include <cstdint>
#include <span>

#include "engine/device/cpu/thread_team.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/matrix_view.h"

namespace reprise::engine::ops {

enum class PoolingKind { kMean, kFirstToken };

struct PoolingOptions {
  PoolingKind kind = PoolingKind::kMean;
  bool normalize = false;  // divide by max(L2 norm, 1e-12), as sentence-transformers' Normalize
};

//   hidden      [total_tokens, hidden_size]
//   cu_seqlens  [batch_size + 1]
//   pooled      [batch_size, hidden_size]; sums run in double precision over tokens in order
void PoolSequences(device::ThreadTeam& team, MatrixView<const float> hidden,
                   std::span<const std::int32_t> cu_seqlens, const PoolingOptions& options,
                   MatrixView<float> pooled);

// Copies the first token of each sequence to dense rows of `dtype`, the operand of the pooler's
// matrix product.
//   operand  [batch_size, hidden_size]
void GatherFirstTokens(MatrixView<const float> hidden, std::span<const std::int32_t> cu_seqlens,
                       DType dtype, void* operand);

}  // namespace reprise::engine::ops
