// Matrix products on oneDNN: single-threaded brgemm primitives for a bounded set of row-block
// heights and panel widths.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dnnl.hpp"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/isa.h"
#include "engine/device/cpu/onednn.h"
#include "engine/memory/buffer.h"
#include "engine/ops/linear_backend.h"

namespace reprise::engine::ops::internal {
namespace {

using device::OneDnnEngine;
using dnnl::memory;

// Every multiple of the granularity up to the tallest block has a primitive, so any row count is
// covered by full blocks and one rest with at most 15 rows of waste.
constexpr int kHeights = kMaxBlockRows / kRowGranularity;

memory::data_type ToOneDnn(DType dtype) {
  REPRISE_CHECK(dtype != DType::kF16);
  return dtype == DType::kF32 ? memory::data_type::f32 : memory::data_type::bf16;
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
  memory::desc bias;  // zero: nothing is added
  std::array<memory::desc, kHeights> source;
  std::array<memory::desc, kHeights> destination;
  std::array<memory::desc, kHeights> scratchpad;
  std::array<dnnl::matmul, kHeights> matmul;
};

// Weights between one input panel and one output panel.
struct Tile {
  int kernels = 0;                  // index into kernels_
  std::int64_t weights_offset = 0;  // bytes into weights_
};

// Unimplemented when oneDNN's best offer is not brgemm.
absl::StatusOr<TileKernels> BuildKernels(const LinearOptions& options, const TileShape& shape,
                                         bool has_bias) {
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
    const dnnl::matmul::primitive_desc description(OneDnnEngine(), kernels.source[i],
                                                   kernels.weights, kernels.bias,
                                                   kernels.destination[i], attributes);
    if (i == kHeights - 1) {
      kernels.weights = description.weights_desc();
      const std::string implementation = description.impl_info_str();
      if (!implementation.starts_with("brg")) {
        return absl::UnimplementedError(absl::StrCat("oneDNN offers ", implementation));
      }
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
  memory from(transposed, OneDnnEngine(), const_cast<float*>(weight));
  memory to(kernels.weights, OneDnnEngine(), packed);
  dnnl::stream stream(OneDnnEngine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

// Index of the kernels for `shape`, built on first use.
absl::StatusOr<int> FindOrBuildKernels(const LinearOptions& options, const TileShape& shape,
                                       bool has_bias, std::vector<TileKernels>& kernels) {
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const TileShape& known = kernels[i].shape;
    if (known.in == shape.in && known.out == shape.out && known.accumulate == shape.accumulate) {
      return static_cast<int>(i);
    }
  }
  REPRISE_ASSIGN_OR_RETURN(TileKernels built, BuildKernels(options, shape, has_bias));
  kernels.push_back(std::move(built));
  return static_cast<int>(kernels.size()) - 1;
}

class OneDnnBackend final : public LinearBackend {
 public:
  absl::Status Pack(const LinearOptions& options, const LinearWeights& weights);

  void Run(const LinearBlock& block) const override;
  std::int64_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }
  std::int64_t scratchpad_bytes() const override { return scratchpad_bytes_; }

 private:
  void RunTile(const Tile& tile, int height_index, const std::byte* x, std::byte* y,
               const float* panel_bias, std::byte* scratchpad) const;

  std::vector<TileKernels> kernels_;
  std::vector<Tile> tiles_;  // [output panels][input panels]
  engine::memory::Buffer weights_;
  engine::memory::Buffer bias_;
  std::int64_t scratchpad_bytes_ = 0;
};

absl::Status OneDnnBackend::Pack(const LinearOptions& options, const LinearWeights& weights) {
  const PanelLayout in = InputLayout(options, 1);
  const PanelLayout out = OutputLayout(options, 1);
  std::int64_t weights_bytes = 0;
  for (std::int64_t out_panel = 0; out_panel < out.panels(); ++out_panel) {
    for (std::int64_t in_panel = 0; in_panel < in.panels(); ++in_panel) {
      REPRISE_ASSIGN_OR_RETURN(
          const int kernels,
          FindOrBuildKernels(options, {in.width(in_panel), out.width(out_panel), in_panel > 0},
                             !weights.bias.empty(), kernels_));
      tiles_.push_back({kernels, weights_bytes});
      weights_bytes +=
          engine::memory::AlignUp(static_cast<std::int64_t>(kernels_[kernels].weights.get_size()),
                                  engine::memory::kAlignment);
    }
  }
  using engine::memory::Buffer;
  using engine::memory::Purpose;
  REPRISE_ASSIGN_OR_RETURN(weights_, Buffer::Allocate(Purpose::kWeights, weights_bytes));
  for (std::size_t i = 0; i < tiles_.size(); ++i) {
    const std::int64_t out_panel = static_cast<std::int64_t>(i) / in.panels();
    const std::int64_t in_panel = static_cast<std::int64_t>(i) % in.panels();
    PackTile(weights.weight.data() + out_panel * out.panel_columns * options.in_features +
                 in_panel * in.panel_columns,
             kernels_[tiles_[i].kernels], options.in_features,
             weights_.data() + tiles_[i].weights_offset);
  }
  REPRISE_ASSIGN_OR_RETURN(
      bias_, Buffer::Allocate(Purpose::kWeights,
                              static_cast<std::int64_t>(weights.bias.size() * sizeof(float))));
  std::copy(weights.bias.begin(), weights.bias.end(), bias_.as<float>());
  for (const TileKernels& kernels : kernels_) {
    for (const memory::desc& scratchpad : kernels.scratchpad) {
      scratchpad_bytes_ =
          std::max(scratchpad_bytes_, static_cast<std::int64_t>(scratchpad.get_size()));
    }
  }
  scratchpad_bytes_ = engine::memory::AlignUp(scratchpad_bytes_, engine::memory::kAlignment);
  return absl::OkStatus();
}

void OneDnnBackend::Run(const LinearBlock& block) const {
  const std::int64_t in_panels = block.x_layout.panels();
  const int height_index = static_cast<int>(block.rows / kRowGranularity) - 1;
  for (std::int64_t in_panel = 0; in_panel < in_panels; ++in_panel) {
    RunTile(tiles_[block.out_panel * in_panels + in_panel], height_index, block.x_panel(in_panel),
            block.y_panel(), bias_.as<float>() + block.out_panel * block.y_layout.panel_columns,
            block.scratchpad);
  }
}

void OneDnnBackend::RunTile(const Tile& tile, int height_index, const std::byte* x, std::byte* y,
                            const float* panel_bias, std::byte* scratchpad) const {
  const TileKernels& k = kernels_[tile.kernels];
  // oneDNN takes inputs without const.
  const memory source(k.source[height_index], OneDnnEngine(), const_cast<std::byte*>(x));
  const memory weights_memory(k.weights, OneDnnEngine(), weights_.data() + tile.weights_offset);
  const memory destination(k.destination[height_index], OneDnnEngine(), y);
  const memory scratchpad_memory(k.scratchpad[height_index], OneDnnEngine(), scratchpad);
  std::array<dnnl_exec_arg_t, 5> arguments = {{{DNNL_ARG_SRC, source.get()},
                                               {DNNL_ARG_WEIGHTS, weights_memory.get()},
                                               {DNNL_ARG_DST, destination.get()},
                                               {DNNL_ARG_SCRATCHPAD, scratchpad_memory.get()},
                                               {DNNL_ARG_BIAS, nullptr}}};
  int count = 4;
  memory bias_memory;
  if (!k.bias.is_zero()) {
    bias_memory = memory(k.bias, OneDnnEngine(), const_cast<float*>(panel_bias));
    arguments[count++].memory = bias_memory.get();
  }
  // The C call takes an array; the C++ one would build a hash map each time.
  const dnnl_status_t status = dnnl_primitive_execute(
      k.matmul[height_index].get(), device::OneDnnThreadStream().get(), count, arguments.data());
  REPRISE_CHECK(status == dnnl_success);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinearBackend>> PackOneDnn(const LinearOptions& options,
                                                          const LinearWeights& weights) try {
  const device::ExecutionScope single_threaded;
  auto backend = std::make_unique<OneDnnBackend>();
  REPRISE_RETURN_IF_ERROR(backend->Pack(options, weights));
  return backend;
} catch (const dnnl::error& error) {
  return absl::UnimplementedError(absl::StrCat("oneDNN: ", error.message));
}

}  // namespace reprise::engine::ops::internal
