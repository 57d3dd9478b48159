// Picks the attention kernels for the instruction set, the precision and the score format.
#include "engine/device/cpu/isa.h"
#include "engine/ops/attention.h"
#include "engine/ops/attention_driver.h"
#include "engine/ops/attention_kernels.h"

namespace reprise::engine::ops {

Attention::Attention(const AttentionOptions& options) : options_(options) {
  const bool bf16 = options.precision == DType::kBF16 && options.score_format == DType::kBF16;
  const device::CpuIsa isa = device::ActiveCpuIsa();
  if (bf16 && isa >= device::CpuIsa::kAmx) {
    compute_ = internal::ComputeHeadAmx;
    reuse_ = internal::ReuseHeadAmx;
    recompute_ = internal::RecomputeHeadAmx;
    key_step_ = internal::kKeyStepAmx;
    block_rows_ = internal::kBlockRowsAmx;
  } else if (bf16 && isa >= device::CpuIsa::kAvx512Bf16) {
    compute_ = internal::ComputeHeadAvx512Bf16;
    reuse_ = internal::ReuseHeadAvx512Bf16;
    recompute_ = internal::RecomputeHeadAvx512Bf16;
    key_step_ = internal::kKeyStepAvx512Bf16;
    block_rows_ = internal::kBlockRowsVectors;
  } else {
    compute_ = internal::ComputeHeadFloat;
    reuse_ = internal::ReuseHeadFloat;
    recompute_ = internal::RecomputeHeadFloat;
    key_step_ = internal::KeyStepFloat();
    block_rows_ = internal::kBlockRowsVectors;
  }
}

std::int64_t Attention::scratch_bytes() const {
  return internal::ScratchLayout(options_.max_seq_len, options_.head_dim, block_rows_).bytes;
}

}  // namespace reprise::engine::ops
