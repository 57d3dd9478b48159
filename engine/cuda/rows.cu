#include "engine/cuda/kernel.cuh"
#include "engine/cuda/rows.h"

namespace reprise::engine::cuda {
namespace {

using architectures::Activation;

constexpr int kRowThreads = 128;
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

// The lane's share of a row: pairs of neighbouring columns, `kWarpSize` pairs apart. An odd last
// column is a pair of its own.
template <typename Visit>
REPRISE_GPU void ForEachPair(int lane, int columns, const Visit& visit) {
  for (int column = 2 * lane; column < columns; column += 2 * kWarpSize) {
    visit(column, column + 1 < columns);
  }
}

// Two numbers of a row that begins anywhere: with an odd number of columns, pairs are not aligned.
struct Pair {
  float low = 0;
  float high = 0;
};
REPRISE_GPU Pair LoadPair(const std::uint16_t* row, int column, bool both, bool aligned) {
  if (both && aligned) {
    const std::uint32_t bits = *reinterpret_cast<const std::uint32_t*>(row + column);
    return {FromBf16(static_cast<std::uint16_t>(bits)),
            FromBf16(static_cast<std::uint16_t>(bits >> 16))};
  }
  return {FromBf16(row[column]), both ? FromBf16(row[column + 1]) : 0};
}
REPRISE_GPU Pair LoadPair(const float* row, int column, bool both) {
  return {row[column], both ? row[column + 1] : 0};
}
template <typename Thread>
REPRISE_GPU void StorePair(const Thread& thread, std::uint16_t* row, int column, bool both,
                           bool aligned, Pair pair) {
  const std::uint32_t bits = thread.Pack(pair.low, pair.high);
  if (both && aligned) {
    *reinterpret_cast<std::uint32_t*>(row + column) = bits;
    return;
  }
  row[column] = static_cast<std::uint16_t>(bits);
  if (both) row[column + 1] = static_cast<std::uint16_t>(bits >> 16);
}
REPRISE_GPU void StorePair(float* row, int column, bool both, Pair pair) {
  row[column] = pair.low;
  if (both) row[column + 1] = pair.high;
}

// Normalises the row that this warp holds in `values` and writes it out.
template <typename Thread>
REPRISE_GPU void NormRow(const Thread& thread, std::int64_t row, int columns, const float* values,
                         const NormWeights& norm, const NormOutputs& outputs) {
  const int lane = thread.index() % kWarpSize;
  float sum = 0;
  ForEachPair(lane, columns, [&](int column, bool both) {
    sum += values[column];
    if (both) sum += values[column + 1];
  });
  const float mean = WarpSum(thread, sum) / static_cast<float>(columns);
  float squares = 0;
  ForEachPair(lane, columns, [&](int column, bool both) {
    const float low = values[column] - mean;
    squares += low * low;
    if (!both) return;
    const float high = values[column + 1] - mean;
    squares += high * high;
  });
  const float variance = WarpSum(thread, squares) / static_cast<float>(columns);
  const float scale = thread.RSqrt(variance + norm.eps);
  ForEachPair(lane, columns, [&](int column, bool both) {
    Pair normal = {(values[column] - mean) * scale * norm.gamma[column] + norm.beta[column], 0};
    if (both) {
      normal.high =
          (values[column + 1] - mean) * scale * norm.gamma[column + 1] + norm.beta[column + 1];
    }
    if (outputs.operand != nullptr) {
      StorePair(thread, outputs.operand + row * columns, column, both, columns % 2 == 0, normal);
    }
    if (outputs.stream != nullptr) StorePair(outputs.stream + row * columns, column, both, normal);
  });
}

// A warp's row in shared memory.
template <typename Thread>
REPRISE_GPU float* RowValues(const Thread& thread, int columns, std::byte* shared) {
  return reinterpret_cast<float*>(shared) + thread.index() / kWarpSize * ((columns + 1) / 2 * 2);
}
std::int64_t SharedRowBytes(int columns) {
  return std::int64_t{kRowsPerBlock} * ((columns + 1) / 2 * 2) *
         static_cast<std::int64_t>(sizeof(float));
}
Grid RowGrid(std::int64_t rows) { return {(rows + kRowsPerBlock - 1) / kRowsPerBlock, 1}; }

template <typename Thread>
REPRISE_GPU std::int64_t RowOf(const Thread& thread) {
  return std::int64_t{thread.block_x()} * kRowsPerBlock + thread.index() / kWarpSize;
}

struct EmbeddingKernel {
  using Params = EmbeddingArgs;
  static constexpr int kThreads = kRowThreads;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte* shared) {
    const std::int64_t row = RowOf(thread);
    if (row >= params.rows) return;
    const std::int64_t columns = params.hidden_size;
    float* values = RowValues(thread, params.hidden_size, shared);
    const float* token = params.token_table + params.ids[row] * columns;
    const float* position = params.position_table + params.positions[row] * columns;
    const float* type = params.type_table + params.types[row] * columns;
    ForEachPair(thread.index() % kWarpSize, params.hidden_size, [&](int column, bool both) {
      values[column] = token[column] + position[column] + type[column];
      if (both) {
        values[column + 1] = token[column + 1] + position[column + 1] + type[column + 1];
      }
    });
    // Each lane reads what it wrote itself.
    NormRow(thread, row, params.hidden_size, values, params.norm, params.outputs);
  }
};

struct AddNormKernel {
  using Params = AddNormArgs;
  static constexpr int kThreads = kRowThreads;

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte* shared) {
    const std::int64_t row = RowOf(thread);
    if (row >= params.rows) return;
    const std::int64_t columns = params.hidden_size;
    const bool aligned = columns % 2 == 0;
    float* values = RowValues(thread, params.hidden_size, shared);
    ForEachPair(thread.index() % kWarpSize, params.hidden_size, [&](int column, bool both) {
      Pair sum = params.stream != nullptr
                     ? LoadPair(params.stream + row * columns, column, both)
                     : LoadPair(params.residual + row * columns, column, both, aligned);
      if (params.delta != nullptr) {
        const Pair delta = LoadPair(params.delta + row * columns, column, both, aligned);
        sum.low += delta.low;
        sum.high += delta.high;
      }
      values[column] = sum.low;
      if (both) values[column + 1] = sum.high;
      if (params.stream != nullptr) StorePair(params.stream + row * columns, column, both, sum);
    });
    if (params.norm.gamma != nullptr) {
      NormRow(thread, row, params.hidden_size, values, params.norm, params.outputs);
    }
  }
};

template <typename Thread>
REPRISE_GPU float Activated(const Thread& thread, Activation activation, float x) {
  switch (activation) {
    case Activation::kGeluErf:
      return 0.5f * x * (1 + thread.Erf(x * 0.70710678f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1 + thread.Tanh(0.79788456f * (x + 0.044715f * x * x * x)));
    case Activation::kRelu:
      return x > 0 ? x : 0;
  }
  return x;
}

struct ActivationKernel {
  using Params = ActivationArgs;
  static constexpr int kThreads = 256;
  static constexpr int kPairs = 4;  // of a thread: 16 bytes

  template <typename Thread>
  static REPRISE_GPU void Run(const Thread& thread, const Params& params, std::byte*) {
    const std::int64_t first =
        (std::int64_t{thread.block_x()} * kThreads + thread.index()) * (2 * kPairs);
    if (first >= params.count) return;
    if (first + 2 * kPairs <= params.count) {
      Chunk chunk = *reinterpret_cast<const Chunk*>(params.values + first);
#pragma unroll
      for (int pair = 0; pair < kPairs; ++pair)
        chunk.pairs[pair] = Both(thread, params, chunk.pairs[pair]);
      *reinterpret_cast<Chunk*>(params.values + first) = chunk;
      return;
    }
    for (std::int64_t at = first; at < params.count; at += 2) {
      auto* pair = reinterpret_cast<std::uint32_t*>(params.values + at);
      *pair = Both(thread, params, *pair);
    }
  }

 private:
  struct alignas(16) Chunk {
    std::uint32_t pairs[kPairs];
  };

  template <typename Thread>
  static REPRISE_GPU std::uint32_t Both(const Thread& thread, const Params& params,
                                        std::uint32_t bits) {
    return thread.Pack(
        Activated(thread, params.activation, FromBf16(static_cast<std::uint16_t>(bits))),
        Activated(thread, params.activation, FromBf16(static_cast<std::uint16_t>(bits >> 16))));
  }
};

// A block takes a sequence, a thread some columns.
struct PoolKernel {
  using Params = PoolArgs;
  static constexpr int kThreads = 256;

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

}  // namespace

absl::Status EmbedAndNorm(const Stream& stream, const EmbeddingArgs& args) {
  return Launch<EmbeddingKernel>(stream, RowGrid(args.rows), SharedRowBytes(args.hidden_size),
                                 args);
}

absl::Status AddAndNorm(const Stream& stream, const AddNormArgs& args) {
  return Launch<AddNormKernel>(stream, RowGrid(args.rows), SharedRowBytes(args.hidden_size), args);
}

absl::Status Activate(const Stream& stream, const ActivationArgs& args) {
  constexpr std::int64_t kPerBlock =
      std::int64_t{ActivationKernel::kThreads} * 2 * ActivationKernel::kPairs;
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
