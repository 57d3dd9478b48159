#include "engine/cuda/kernel.cuh"
#include "engine/cuda/rows.h"

namespace reprise::engine::cuda {
namespace {

using architectures::Activation;

constexpr int kRowThreads = 128;
constexpr float kLog2E = 1.4426950408889634f;
constexpr int kRowsPerBlock = kRowThreads / kWarpSize;  // a warp takes a row

REPRISE_GPU float FromBf16(std::uint16_t bits) {
  union {
    std::uint32_t bits;
    float value;
  } number = {static_cast<std::uint32_t>(bits) << 16};
  return number.value;
}

template <typename Thread>
REPRISE_GPU float WarpSum(const Thread& thread, float value) {
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2) value += thread.ShuffleXor(value, mask);
  return value;
}

// Sixteen bytes of numbers, which a lane loads and stores at once.
constexpr int kChunk = 8;  // columns
struct alignas(16) Bf16Chunk {
  std::uint32_t pairs[kChunk / 2];
};
struct alignas(16) FloatQuad {
  float values[4];
};

REPRISE_GPU void Load(const std::uint16_t* from, float (&values)[kChunk]) {
  const Bf16Chunk chunk = *reinterpret_cast<const Bf16Chunk*>(from);
#pragma unroll
  for (int pair = 0; pair < kChunk / 2; ++pair) {
    values[2 * pair] = FromBf16(static_cast<std::uint16_t>(chunk.pairs[pair]));
    values[2 * pair + 1] = FromBf16(static_cast<std::uint16_t>(chunk.pairs[pair] >> 16));
  }
}
REPRISE_GPU void Load(const float* from, float (&values)[kChunk]) {
#pragma unroll
  for (int quad = 0; quad < 2; ++quad) {
    const FloatQuad loaded = reinterpret_cast<const FloatQuad*>(from)[quad];
#pragma unroll
    for (int i = 0; i < 4; ++i) values[4 * quad + i] = loaded.values[i];
  }
}
template <typename Number>
REPRISE_GPU void AddFrom(const Number* from, float (&values)[kChunk]) {
  float more[kChunk];
  Load(from, more);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) values[i] += more[i];
}
template <typename Thread>
REPRISE_GPU void Store(const Thread& thread, const float (&values)[kChunk], std::uint16_t* to) {
  Bf16Chunk chunk;
#pragma unroll
  for (int pair = 0; pair < kChunk / 2; ++pair) {
    chunk.pairs[pair] = thread.Pack(values[2 * pair], values[2 * pair + 1]);
  }
  *reinterpret_cast<Bf16Chunk*>(to) = chunk;
}
REPRISE_GPU void Store(const float (&values)[kChunk], float* to) {
#pragma unroll
  for (int quad = 0; quad < 2; ++quad) {
    FloatQuad stored;
#pragma unroll
    for (int i = 0; i < 4; ++i) stored.values[i] = values[4 * quad + i];
    reinterpret_cast<FloatQuad*>(to)[quad] = stored;
  }
}

// A row of at most kChunks * 32 * kChunk columns that a warp holds in registers: every lane has
// chunks that are 32 chunks apart, and all of a sequence's numbers come and go in whole lines.
template <int kChunks>
struct WarpRow {
  int first_column;  // of this lane
  int columns;
  float values[kChunks][kChunk];

  // visit(column, values) for each of the lane's chunks.
  template <typename Visit>
  REPRISE_GPU void ForEachChunk(const Visit& visit) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const int column = first_column + chunk * (kWarpSize * kChunk);
      if (column < columns) visit(column, values[chunk]);
    }
  }

  // Normalises the row and writes it out.
  template <typename Thread>
  REPRISE_GPU void Norm(const Thread& thread, std::int64_t row, const NormWeights& norm,
                        const NormOutputs& outputs) {
    float sum = 0;
    ForEachChunk([&](int, float(&chunk)[kChunk]) {
      for (const float value : chunk) sum += value;
    });
    const float mean = WarpSum(thread, sum) / static_cast<float>(columns);
    float squares = 0;
    ForEachChunk([&](int, float(&chunk)[kChunk]) {
      for (const float value : chunk) squares += (value - mean) * (value - mean);
    });
    const float variance = WarpSum(thread, squares) / static_cast<float>(columns);
    const float scale = thread.RSqrt(variance + norm.eps);
    ForEachChunk([&](int column, float(&chunk)[kChunk]) {
      float gamma[kChunk], beta[kChunk];
      Load(norm.gamma + column, gamma);
      Load(norm.beta + column, beta);
#pragma unroll
      for (int i = 0; i < kChunk; ++i) chunk[i] = (chunk[i] - mean) * scale * gamma[i] + beta[i];
      if (outputs.operand != nullptr)
        Store(thread, chunk, outputs.operand + row * columns + column);
      if (outputs.stream != nullptr) Store(chunk, outputs.stream + row * columns + column);
    });
  }
};

Grid RowGrid(std::int64_t rows) { return {(rows + kRowsPerBlock - 1) / kRowsPerBlock, 1}; }

template <typename Thread>
REPRISE_GPU std::int64_t RowOf(const Thread& thread) {
  return std::int64_t{thread.block_x()} * kRowsPerBlock + thread.index() / kWarpSize;
}

template <int kChunks>
struct EmbeddingKernel {
  using Params = EmbeddingArgs;
  static constexpr int kThreads = kRowThreads;
  static constexpr int kBlocksPerMultiprocessor = 1;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte*) {
    const std::int64_t row = RowOf(thread);
    if (row >= params.rows) return;
    const std::int64_t columns = params.hidden_size;
    const float* token = params.token_table + params.ids[row] * columns;
    const float* position = params.position_table + params.positions[row] * columns;
    const float* type = params.type_table + params.types[row] * columns;
    WarpRow<kChunks> held{thread.index() % kWarpSize * kChunk, params.hidden_size, {}};
    held.ForEachChunk([&](int column, float(&values)[kChunk]) {
      Load(token + column, values);
      AddFrom(position + column, values);
      AddFrom(type + column, values);
    });
    held.Norm(thread, row, params.norm, params.outputs);
  }
};

template <int kChunks>
struct AddNormKernel {
  using Params = AddNormArgs;
  static constexpr int kThreads = kRowThreads;
  static constexpr int kBlocksPerMultiprocessor = 1;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte*) {
    const std::int64_t row = RowOf(thread);
    if (row >= params.rows) return;
    const std::int64_t begin = row * params.hidden_size;
    WarpRow<kChunks> held{thread.index() % kWarpSize * kChunk, params.hidden_size, {}};
    held.ForEachChunk([&](int column, float(&values)[kChunk]) {
      if (params.stream != nullptr) {
        Load(params.stream + begin + column, values);
      } else {
        Load(params.residual + begin + column, values);
      }
      if (params.delta != nullptr) AddFrom(params.delta + begin + column, values);
      if (params.stream != nullptr) Store(values, params.stream + begin + column);
    });
    if (params.norm.gamma != nullptr) held.Norm(thread, row, params.norm, params.outputs);
  }
};

// (1 + erf(x / sqrt 2)) / 2 by Abramowitz and Stegun 7.1.26, whose error is below 1.5e-7: far
// cheaper than erff, and in the lower tail it keeps its relative precision.
template <typename Thread>
REPRISE_GPU float NormalCdf(const Thread& thread, float x) {
  const float z = 0.70710678f * (x < 0 ? -x : x);
  const float t = thread.Reciprocal(1 + 0.3275911f * z);
  const float polynomial =
      ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t +
       0.254829592f) *
      t;
  const float tail = 0.5f * polynomial * thread.Exp2(-kLog2E * z * z);
  return x < 0 ? tail : 1 - tail;
}

template <typename Thread>
REPRISE_GPU float Activated(const Thread& thread, Activation activation, float x) {
  switch (activation) {
    case Activation::kGeluErf:
      return x * NormalCdf(thread, x);
    case Activation::kGeluTanh:  // x (1 + tanh(u)) / 2 = x / (1 + exp(-2u))
      return x * thread.Reciprocal(
                     1 + thread.Exp2(-2 * kLog2E * 0.79788456f * (x + 0.044715f * x * x * x)));
    case Activation::kRelu:
      return x > 0 ? x : 0;
  }
  return x;
}

struct ActivationKernel {
  using Params = ActivationArgs;
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 1;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte*) {
    const std::int64_t first =
        (std::int64_t{thread.block_x()} * kThreads + thread.index()) * kChunk;
    if (first >= params.count) return;
    float values[kChunk];
    Load(params.values + first, values);
#pragma unroll
    for (float& value : values) value = Activated(thread, params.activation, value);
    Store(thread, values, params.values + first);
  }
};

// A block takes a sequence, a thread some columns.
struct PoolKernel {
  using Params = PoolArgs;
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 1;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte* shared) {
    const std::int64_t sequence = thread.block_x();
    const std::int32_t begin = params.cu_seqlens[sequence];
    const std::int32_t end = params.mean ? params.cu_seqlens[sequence + 1] : begin + 1;
    float* pooled = params.pooled + sequence * params.hidden_size;
    double squares = 0;
    for (int column = thread.index(); column < params.hidden_size; column += kThreads) {
      double sum = 0;
      for (std::int32_t row = begin; row < end; ++row) {
        sum += params.hidden[std::int64_t{row} * params.hidden_size + column];
      }
      pooled[column] = static_cast<float>(sum / (end - begin));
      squares += double{pooled[column]} * pooled[column];
    }
    if (!params.normalize) return;
    auto* sums = reinterpret_cast<double*>(shared);
    sums[thread.index()] = squares;
    thread.Sync();
    double total = 0;
    for (int other = 0; other < kThreads; ++other) total += sums[other];
    const double norm = total > 0 ? thread.Sqrt(total) : 0;
    const double divisor = norm > 1e-12 ? norm : 1e-12;
    for (int column = thread.index(); column < params.hidden_size; column += kThreads) {
      pooled[column] = static_cast<float>(pooled[column] / divisor);
    }
  }
};

// A warp takes an output of a row.
struct SmallDenseKernel {
  using Params = SmallDenseArgs;
  static constexpr int kThreads = kRowThreads;
  static constexpr int kBlocksPerMultiprocessor = 1;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte*) {
    const int lane = thread.index() % kWarpSize;
    const int out = thread.block_y() * kRowsPerBlock + thread.index() / kWarpSize;
    if (out >= params.out_features) return;
    const std::int64_t row = thread.block_x();
    const std::int64_t source = params.first_rows != nullptr ? params.first_rows[row] : row;
    const float* x = params.x + source * params.in_features;
    const float* weight = params.weight + std::int64_t{out} * params.in_features;
    float sum = 0;
    for (int in = lane; in < params.in_features; in += kWarpSize) sum += x[in] * weight[in];
    sum = WarpSum(thread, sum) + params.bias[out];
    if (lane == 0) {
      params.y[row * params.out_features + out] = params.tanh ? thread.Tanh(sum) : sum;
    }
  }
};

// Starts the kernel that holds rows of this width with the fewest registers.
template <template <int> typename Kernel, typename Args>
absl::Status LaunchForWidth(const Stream& stream, const Args& args) {
  const int chunks = (args.hidden_size + kWarpSize * kChunk - 1) / (kWarpSize * kChunk);
  const Grid grid = RowGrid(args.rows);
  if (chunks <= 1) return Launch<Kernel<1>>(stream, grid, 0, args);
  if (chunks <= 2) return Launch<Kernel<2>>(stream, grid, 0, args);
  if (chunks <= 3) return Launch<Kernel<3>>(stream, grid, 0, args);
  if (chunks <= 4) return Launch<Kernel<4>>(stream, grid, 0, args);
  if (chunks <= 8) return Launch<Kernel<8>>(stream, grid, 0, args);
  return Launch<Kernel<kMaxHiddenSize / (kWarpSize * kChunk)>>(stream, grid, 0, args);
}

}  // namespace

absl::Status EmbedAndNorm(const Stream& stream, const EmbeddingArgs& args) {
  return LaunchForWidth<EmbeddingKernel>(stream, args);
}

absl::Status AddAndNorm(const Stream& stream, const AddNormArgs& args) {
  return LaunchForWidth<AddNormKernel>(stream, args);
}

absl::Status Activate(const Stream& stream, const ActivationArgs& args) {
  constexpr std::int64_t kPerBlock = std::int64_t{ActivationKernel::kThreads} * kChunk;
  return Launch<ActivationKernel>(stream, {(args.count + kPerBlock - 1) / kPerBlock, 1}, 0, args);
}

absl::Status Pool(const Stream& stream, const PoolArgs& args) {
  constexpr std::int64_t kSharedBytes = PoolKernel::kThreads * sizeof(double);
  return Launch<PoolKernel>(stream, {args.sequences, 1}, args.normalize ? kSharedBytes : 0, args);
}

absl::Status RunSmallDense(const Stream& stream, const SmallDenseArgs& args) {
  return Launch<SmallDenseKernel>(stream, {args.rows, RowGrid(args.out_features).x}, 0, args);
}

}  // namespace reprise::engine::cuda
