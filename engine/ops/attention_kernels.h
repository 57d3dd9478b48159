// The attention kernels that attention_cpu.cc chooses from.
#pragma once

#include "engine/ops/attention.h"

namespace reprise::engine::ops::internal {

// fp32 arithmetic through Highway on any instruction set; bf16 queries, keys, values and scores are
// widened on the way.
void ComputeHeadFloat(const AttentionOptions& options, const AttentionTask& task);
void ReuseHeadFloat(const AttentionOptions& options, const AttentionTask& task);
void RecomputeHeadFloat(const AttentionOptions& options, const AttentionTask& task);

std::int64_t KeyStepFloat();  // lanes of a vector on the active instruction set

// bf16 dot products (vdpbf16ps) with fp32 accumulation; precision and score format must both be
// kBF16. Requires: ActiveCpuIsa() >= kAvx512Bf16.
void ComputeHeadAvx512Bf16(const AttentionOptions& options, const AttentionTask& task);
void ReuseHeadAvx512Bf16(const AttentionOptions& options, const AttentionTask& task);
void RecomputeHeadAvx512Bf16(const AttentionOptions& options, const AttentionTask& task);
inline constexpr std::int64_t kKeyStepAvx512Bf16 = 16;

// The same on AMX tiles. Requires: ActiveCpuIsa() == kAmx.
void ComputeHeadAmx(const AttentionOptions& options, const AttentionTask& task);
void ReuseHeadAmx(const AttentionOptions& options, const AttentionTask& task);
void RecomputeHeadAmx(const AttentionOptions& options, const AttentionTask& task);
inline constexpr std::int64_t kKeyStepAmx = 32;
inline constexpr std::int64_t kBlockRowsAmx = 32;  // two tiles

// Of the other kernels: 6 rows x 4 vectors of sums fill 24 of 32 registers, 6 x 2 12 of 16.
inline constexpr std::int64_t kBlockRowsVectors = 6;

}  // namespace reprise::engine::ops::internal
