// Dense layers on oneDNN: single-threaded matmul primitives for a bounded set of row-block heights
// and panel widths.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dnnl.hpp"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/isa.h"
#include "engine/memory/buffer.h"
#include "engine/ops/linear.h"

namespace reprise::engine::ops {
namespace {

using dnnl::memory;

// Rows of the tallest matmul: enough to amortise the reads of a weight panel. Every multiple of the
// granularity up to it has a primitive, so any row count is covered by full blocks and one rest
// with at most 15 rows of waste.
constexpr std::int64_t kMaxBlockRows = 128;
constexpr std::int64_t kMinBlockRows = 32;  // below this, more tasks cost more than they spread
constexpr int kHeights = kMaxBlockRows / kRowGranularity;

memory::data_type ToOneDnn(DType dtype) {
  REPRISE_CHECK(dtype != DType::kF16);
  return dtype == DType::kF32 ? memory::data_type::f32 : memory::data_type::bf16;
}

dnnl::engine& CpuEngine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

void AppendEpilogue(Epilogue epilogue, dnnl::post_ops& post_ops) {
  switch (epilogue) {
    case Epilogue::kNone:
      return;
    case Epilogue::kGeluErf:
      return post_ops.append_eltwise(dnnl::algorithm::eltwise_gelu_erf, 0, 0);
    case Epilogue::kGeluTanh:
      return post_ops.append_eltwise(dnnl::algorithm::eltwise_gelu_tanh, 0, 0);
    case Epilogue::kRelu:
      return post_ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
    case Epilogue::kTanh:
      return post_ops.append_eltwise(dnnl::algorithm::eltwise_tanh, 0, 0);
  }
}

// What distinguishes the matmuls of one layer apart from their height.
struct TileShape {
  std::int64_t in = 0;   // width of the input panel
  std::int64_t out = 0;  // width of the output panel
  bool accumulate =
      false;  // add to y instead of starting from the bias: every input panel but the first
};

struct TileKernels {
  TileShape shape;
  memory::desc weights;
  memory::desc bias;
  std::array<memory::desc, kHeights> source;
  std::array<memory::desc, kHeights> destination;
  std::array<memory::desc, kHeights> scratchpad;
  std::array<dnnl::matmul, kHeights> matmul;
};

// Weights between one input panel and one output panel.
struct Tile {
  int kernels = 0;                  // index into Packed::kernels
  std::int64_t weights_offset = 0;  // bytes into Packed::weights
};

}  // namespace

struct Linear::Packed {
  LinearOptions options;
  bool has_bias = false;
  std::vector<TileKernels> kernels;
  std::vector<Tile> tiles;  // [output panels][input panels]
  engine::memory::Buffer weights;
  engine::memory::Buffer bias;
  std::int64_t scratchpad_bytes = 0;
  std::string implementation;

  void RunTile(const Tile& tile, int height_index, void* x, void* y, const float* panel_bias,
               std::byte* scratchpad) const;
};

namespace {

TileKernels BuildKernels(const LinearOptions& options, const TileShape& shape, bool has_bias,
                         std::string* implementation) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post_ops;
  if (shape.accumulate) post_ops.append_sum();
  AppendEpilogue(options.epilogue, post_ops);
  attributes.set_post_ops(post_ops);

  TileKernels kernels;
  kernels.shape = shape;
  kernels.weights =
      memory::desc({shape.in, shape.out}, ToOneDnn(options.precision), memory::format_tag::any);
  if (has_bias && !shape.accumulate) {
    kernels.bias = memory::desc({1, shape.out}, memory::data_type::f32, memory::format_tag::ab);
  }
  // Tallest first: it chooses the weight layout that the others then share.
  for (int i = kHeights - 1; i >= 0; --i) {
    const memory::dim rows = (i + 1) * kRowGranularity;
    kernels.source[i] =
        memory::desc({rows, shape.in}, ToOneDnn(options.precision), memory::format_tag::ab);
    kernels.destination[i] =
        memory::desc({rows, shape.out}, ToOneDnn(options.output), memory::format_tag::ab);
    const dnnl::matmul::primitive_desc description(CpuEngine(), kernels.source[i], kernels.weights,
                                                   kernels.bias, kernels.destination[i],
                                                   attributes);
    if (i == kHeights - 1) {
      kernels.weights = description.weights_desc();
      *implementation = description.impl_info_str();
    }
    kernels.scratchpad[i] = description.scratchpad_desc();
    kernels.matmul[i] = dnnl::matmul(description);
  }
  return kernels;
}

// Reorders a [tile.out, tile.in] block of weight [out, in], whose first element is `weight`, into
// the kernel's layout.
void PackTile(const float* weight, const TileKernels& kernels, std::int64_t in_features,
              std::byte* packed) {
  const memory::desc transposed({kernels.shape.in, kernels.shape.out}, memory::data_type::f32,
                                {1, in_features});
  memory from(transposed, CpuEngine(), const_cast<float*>(weight));
  memory to(kernels.weights, CpuEngine(), packed);
  dnnl::stream stream(CpuEngine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

// Index of the kernels for `shape`, built on first use.
int FindOrBuildKernels(const LinearOptions& options, const TileShape& shape, bool has_bias,
                       std::vector<TileKernels>& kernels, std::string* implementation) {
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const TileShape& known = kernels[i].shape;
    if (known.in == shape.in && known.out == shape.out && known.accumulate == shape.accumulate) {
      return static_cast<int>(i);
    }
  }
  kernels.push_back(BuildKernels(options, shape, has_bias, implementation));
  return static_cast<int>(kernels.size()) - 1;
}

// Shorter blocks when there are too few tasks to go round.
std::int64_t BlockRows(std::int64_t padded_rows, std::int64_t panels, int threads) {
  std::int64_t block = kMaxBlockRows;
  while (block > kMinBlockRows && (padded_rows + block - 1) / block * panels < 2 * threads) {
    block /= 2;
  }
  return block;
}

}  // namespace

absl::StatusOr<Linear> Linear::Pack(std::span<const float> weight, std::span<const float> bias,
                                    const LinearOptions& requested) try {
  auto packed = std::make_unique<Packed>();
  packed->options = requested;
  LinearOptions& options = packed->options;
  if (options.in_panel == 0) options.in_panel = options.in_features;
  if (options.out_panel == 0) options.out_panel = options.out_features;
  REPRISE_CHECK(static_cast<std::int64_t>(weight.size()) ==
                options.in_features * options.out_features);
  REPRISE_CHECK(bias.empty() || static_cast<std::int64_t>(bias.size()) == options.out_features);
  REPRISE_CHECK(options.in_panel >= options.in_features ||
                (options.output == DType::kF32 && options.epilogue == Epilogue::kNone));
  device::ActiveCpuIsa();  // fixes oneDNN's instruction set before its first primitive
  const device::ExecutionScope single_threaded;
  packed->has_bias = !bias.empty();

  Linear linear(std::move(packed));
  Packed& layer = *linear.packed_;
  const PanelLayout in = linear.input(1);
  const PanelLayout out = linear.output(1);
  std::int64_t weights_bytes = 0;
  for (std::int64_t out_panel = 0; out_panel < out.panels(); ++out_panel) {
    for (std::int64_t in_panel = 0; in_panel < in.panels(); ++in_panel) {
      const int kernels =
          FindOrBuildKernels(options, {in.width(in_panel), out.width(out_panel), in_panel > 0},
                             layer.has_bias, layer.kernels, &layer.implementation);
      layer.tiles.push_back({kernels, weights_bytes});
      weights_bytes += engine::memory::AlignUp(
          static_cast<std::int64_t>(layer.kernels[kernels].weights.get_size()),
          engine::memory::kAlignment);
    }
  }
  REPRISE_ASSIGN_OR_RETURN(layer.weights, engine::memory::Buffer::Allocate(
                                              engine::memory::Purpose::kWeights, weights_bytes));
  for (std::size_t i = 0; i < layer.tiles.size(); ++i) {
    const std::int64_t out_panel = static_cast<std::int64_t>(i) / in.panels();
    const std::int64_t in_panel = static_cast<std::int64_t>(i) % in.panels();
    PackTile(weight.data() + out_panel * out.panel_columns * options.in_features +
                 in_panel * in.panel_columns,
             layer.kernels[layer.tiles[i].kernels], options.in_features,
             layer.weights.data() + layer.tiles[i].weights_offset);
  }
  REPRISE_ASSIGN_OR_RETURN(layer.bias, engine::memory::Buffer::Allocate(
                                           engine::memory::Purpose::kWeights,
                                           static_cast<std::int64_t>(bias.size() * sizeof(float))));
  std::copy(bias.begin(), bias.end(), layer.bias.as<float>());
  for (const TileKernels& kernels : layer.kernels) {
    for (const memory::desc& scratchpad : kernels.scratchpad) {
      layer.scratchpad_bytes =
          std::max(layer.scratchpad_bytes, static_cast<std::int64_t>(scratchpad.get_size()));
    }
  }
  layer.scratchpad_bytes =
      engine::memory::AlignUp(layer.scratchpad_bytes, engine::memory::kAlignment);
  return linear;
} catch (const dnnl::error& error) {
  return absl::UnimplementedError(
      absl::StrCat("the CPU cannot multiply ", std::string(Name(requested.precision)),
                   " matrices with instruction set ", device::DescribeCpuIsa(),
                   " (oneDNN: ", error.message, "); use --precision fp32"));
}

Linear::Linear(std::unique_ptr<Packed> packed) : packed_(std::move(packed)) {}
Linear::~Linear() = default;
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;

void Linear::Packed::RunTile(const Tile& tile, int height_index, void* x, void* y,
                             const float* panel_bias, std::byte* scratchpad) const {
  const TileKernels& k = kernels[tile.kernels];
  static thread_local dnnl::stream stream(CpuEngine());
  const memory source(k.source[height_index], CpuEngine(), x);
  const memory weights_memory(k.weights, CpuEngine(), weights.data() + tile.weights_offset);
  const memory destination(k.destination[height_index], CpuEngine(), y);
  const memory scratchpad_memory(k.scratchpad[height_index], CpuEngine(), scratchpad);
  std::array<dnnl_exec_arg_t, 5> arguments = {{{DNNL_ARG_SRC, source.get()},
                                               {DNNL_ARG_WEIGHTS, weights_memory.get()},
                                               {DNNL_ARG_DST, destination.get()},
                                               {DNNL_ARG_SCRATCHPAD, scratchpad_memory.get()},
                                               {DNNL_ARG_BIAS, nullptr}}};
  int count = 4;
  memory bias_memory;
  if (has_bias && !k.shape.accumulate) {
    bias_memory = memory(k.bias, CpuEngine(), const_cast<float*>(panel_bias));
    arguments[count++].memory = bias_memory.get();
  }
  // The C call takes an array; the C++ one would build a hash map each time.
  const dnnl_status_t status =
      dnnl_primitive_execute(k.matmul[height_index].get(), stream.get(), count, arguments.data());
  REPRISE_CHECK(status == dnnl_success);
}

void Linear::Run(device::ThreadTeam& team, Operand x, Operand y, std::int64_t rows,
                 std::byte* scratchpad) const {
  const Packed& layer = *packed_;
  const PanelLayout in = input(x.capacity_rows);
  const PanelLayout out = output(y.capacity_rows);
  const std::int64_t padded_rows = RoundedRows(rows);
  const std::int64_t block_rows = BlockRows(padded_rows, out.panels(), team.size());
  const std::int64_t blocks = (padded_rows + block_rows - 1) / block_rows;
  const auto in_bytes = static_cast<std::int64_t>(SizeOf(in.dtype));
  const auto out_bytes = static_cast<std::int64_t>(SizeOf(out.dtype));

  team.ParallelFor(blocks * out.panels(), [&](std::int64_t task, int worker) {
    // Neighbouring tasks share a row block, so its activations are still in L2.
    const std::int64_t first_row = task / out.panels() * block_rows;
    const std::int64_t out_panel = task % out.panels();
    const std::int64_t height = std::min(block_rows, padded_rows - first_row);
    auto* y_block = static_cast<std::byte*>(y.data) + out.offset(out_panel, first_row) * out_bytes;
    for (std::int64_t in_panel = 0; in_panel < in.panels(); ++in_panel) {
      auto* x_block = static_cast<std::byte*>(x.data) + in.offset(in_panel, first_row) * in_bytes;
      layer.RunTile(layer.tiles[out_panel * in.panels() + in_panel],
                    static_cast<int>(height / kRowGranularity) - 1, x_block, y_block,
                    layer.bias.as<float>() + out_panel * out.panel_columns,
                    scratchpad + worker * layer.scratchpad_bytes);
    }
  });
}

const LinearOptions& Linear::options() const { return packed_->options; }
PanelLayout Linear::input(std::int64_t rows) const {
  const LinearOptions& options = packed_->options;
  return {options.in_features, options.in_panel, RoundedRows(rows), options.precision};
}
PanelLayout Linear::output(std::int64_t rows) const {
  const LinearOptions& options = packed_->options;
  return {options.out_features, options.out_panel, RoundedRows(rows), options.output};
}
std::int64_t Linear::scratchpad_bytes() const { return packed_->scratchpad_bytes; }
std::int64_t Linear::packed_bytes() const {
  return packed_->weights.bytes() + packed_->bias.bytes();
}
std::int64_t Linear::parameters() const {
  return packed_->options.in_features * packed_->options.out_features +
         (packed_->has_bias ? packed_->options.out_features : 0);
}
const char* Linear::implementation() const { return packed_->implementation.c_str(); }

}  // namespace reprise::engine::ops
