// Work on a GPU that goes over rows: embeddings, residual addition and layer norm, activations,
// pooling, and the small dense layers on one row per sequence.
//
// All matrices are dense and row-major, with a number of columns that is a multiple of 8 up to
// kMaxHiddenSize, and begin at multiples of 16 bytes. Rows past the last token may be run too; each
// row's numbers depend on that row alone.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "engine/architectures/activation.h"
#include "engine/cuda/stream.h"

namespace reprise::engine::cuda {

inline constexpr int kMaxHiddenSize = 4096;

// Learned scale and shift, [hidden_size] fp32 each, in device memory.
struct NormWeights {
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float eps = 1e-12f;
};

// Where a row of the residual stream goes. What is null is not written.
struct NormOutputs {
  std::uint16_t* operand = nullptr;  // bf16, the next matrix product's input
  float* stream = nullptr;           // fp32
};

// LN(token + position + type)                                    (Devlin et al. 2018, section 3)
//   ids, types, positions  [rows]
//   tables                 fp32, [vocabulary, hidden_size] each
struct EmbeddingArgs {
  std::int64_t rows = 0;
  int hidden_size = 0;
  const std::int32_t* ids = nullptr;
  const std::int32_t* types = nullptr;
  const std::int32_t* positions = nullptr;
  const float* token_table = nullptr;
  const float* position_table = nullptr;
  const float* type_table = nullptr;
  NormWeights norm;
  NormOutputs outputs;  // of the norm
};
absl::Status EmbedAndNorm(const Stream& stream, const EmbeddingArgs& args);

// One of two residual streams:
//   post-LN  x = LN(x + delta), kept in bf16: `residual` is read, `outputs` gets x
//   pre-LN   x = x + delta, kept in fp32: `stream` is read and written, outputs.operand gets LN(x)
// delta is bf16 [rows, hidden_size]; null: nothing is added. norm.gamma null (pre-LN): only
// addition. Statistics in fp32, two passes (Ba et al. 2016).
struct AddNormArgs {
  std::int64_t rows = 0;
  int hidden_size = 0;
  const std::uint16_t* delta = nullptr;
  const std::uint16_t* residual = nullptr;  // post-LN
  float* stream = nullptr;                  // pre-LN
  NormWeights norm;
  NormOutputs outputs;
};
absl::Status AddAndNorm(const Stream& stream, const AddNormArgs& args);

// values = activation(values), bf16, `count` of them, a multiple of 8.
struct ActivationArgs {
  architectures::Activation activation = architectures::Activation::kGeluErf;
  std::uint16_t* values = nullptr;
  std::int64_t count = 0;
};
absl::Status Activate(const Stream& stream, const ActivationArgs& args);

// One vector per sequence: the mean of its tokens or the first; divided by max(L2 norm, 1e-12) if
// `normalize`. Sums run in double precision over tokens in order, as on the CPU.
struct PoolArgs {
  std::int64_t sequences = 0;
  int hidden_size = 0;
  bool mean = true;
  bool normalize = false;
  const float* hidden = nullptr;             // [total_tokens, hidden_size]
  const std::int32_t* cu_seqlens = nullptr;  // [sequences + 1]
  float* pooled = nullptr;                   // [sequences, hidden_size]
};
absl::Status Pool(const Stream& stream, const PoolArgs& args);

// y = x W^T + b in fp32, with tanh if asked: pooler and classifier, where exact numbers cost
// nothing.
struct SmallDenseArgs {
  std::int64_t rows = 0;
  int in_features = 0;
  int out_features = 0;
  bool tanh = false;
  const float* x = nullptr;                  // row r at x + first_rows[r] * in_features
  const std::int32_t* first_rows = nullptr;  // [rows]; null: 0, 1, 2, ...
  const float* weight = nullptr;             // [out_features, in_features]
  const float* bias = nullptr;               // [out_features]
  float* y = nullptr;                        // [rows, out_features]
};
absl::Status RunSmallDense(const Stream& stream, const SmallDenseArgs& args);

}  // namespace reprise::engine::cuda
