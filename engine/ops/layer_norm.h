// Residual addition and layer normalisation in one pass over the rows.
#pragma once

#include <cstdint>
#include <span>

#include "engine/device/cpu/thread_team.h"
#include "engine/ops/panel_layout.h"
#include "engine/tensor/matrix_view.h"

namespace reprise::engine::ops {

// Learned scale and shift, [hidden_size] each; borrowed.
struct LayerNormWeights {
  std::span<const float> gamma;
  std::span<const float> beta;
  float eps = 1e-12f;
};

// What AddLayerNorm keeps in the residual stream.
enum class NormOrder {
  kPost,  // hidden = LN(hidden + delta); operand = hidden            (post-LN blocks, BERT)
  kPre,   // hidden = hidden + delta;     operand = LN(hidden)        (pre-LN blocks)
};

// LN(x)[i] = (x[i] - mean) / sqrt(variance + eps) * gamma[i] + beta[i]   (Ba et al. 2016);
// statistics in fp32, two passes.
//   hidden  [rows, hidden_size] fp32, read and written
//   delta   fp32 in `delta_layout` with hidden_size columns; null: nothing is added
//   operand [rows, hidden_size] of `operand_dtype`, dense, the next matrix product's input; null:
//   not wanted. It may be hidden's own memory when kPost and
//           kF32
//   norm    null with kPre: only the addition
struct AddLayerNormArgs {
  MatrixView<float> hidden;
  const float* delta = nullptr;
  PanelLayout delta_layout = {};
  const LayerNormWeights* norm = nullptr;
  NormOrder order = NormOrder::kPost;
  void* operand = nullptr;
  DType operand_dtype = DType::kF32;
};
void AddLayerNorm(device::ThreadTeam& team, const AddLayerNormArgs& args);

}  // namespace reprise::engine::ops
