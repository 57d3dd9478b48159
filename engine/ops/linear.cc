// Chooses the backend of a dense layer, and cuts its work into row blocks and output panels.
#include "engine/ops/linear.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/ops/linear_backend.h"
#include "engine/ops/linear_choice.h"

namespace reprise::engine::ops {
namespace {

constexpr std::int64_t kMinBlockRows = 32;  // below this, more tasks cost more than they spread

// Shorter blocks when there are too few tasks to go round.
std::int64_t BlockRows(std::int64_t padded_rows, std::int64_t panels, int threads) {
  std::int64_t block = internal::kMaxBlockRows;
  while (block > kMinBlockRows && (padded_rows + block - 1) / block * panels < 2 * threads) {
    block /= 2;
  }
  return block;
}

// Ours, oneDNN's, or what this machine finds faster. Ours where they measured faster on every shape
// and processor tried (docs/design/cpu_engine.md): AVX-512 with bf16 but without AMX, and below
// AVX-512, where oneDNN has no brgemm.
absl::StatusOr<std::unique_ptr<internal::LinearBackend>> PackBackend(
    const LinearOptions& options, const internal::LinearWeights& weights) {
  const device::CpuIsa isa = device::ActiveCpuIsa();
  const bool measured = isa != device::CpuIsa::kAvx512 && isa != device::CpuIsa::kAmx;
  if (options.precision == DType::kF32 && options.output == DType::kF32) {
    if (measured) return internal::PackFloat(options, weights);
    return internal::PackFaster(internal::PackOneDnn, internal::PackFloat, options, weights);
  }
  auto backend =
      measured ? internal::PackAvx512Bf16(options, weights)
               : internal::PackFaster(internal::PackOneDnn, internal::PackAmx, options, weights);
  if (!absl::IsUnimplemented(backend.status())) return backend;
  return absl::UnimplementedError(
      absl::StrCat("the CPU cannot multiply ", std::string(Name(options.precision)),
                   " matrices in hardware with instruction set ", device::DescribeCpuIsa(), " (",
                   std::string(backend.status().message()), "); use --precision fp32"));
}

}  // namespace

struct Linear::Packed {
  LinearOptions options;
  bool has_bias = false;
  std::unique_ptr<internal::LinearBackend> backend;
};

PanelLayout internal::InputLayout(const LinearOptions& options, std::int64_t rows) {
  return {options.in_features, options.in_panel, RoundedRows(rows), options.precision};
}

PanelLayout internal::OutputLayout(const LinearOptions& options, std::int64_t rows) {
  return {options.out_features, options.out_panel, RoundedRows(rows), options.output};
}

absl::StatusOr<Linear> Linear::Pack(std::span<const float> weight, std::span<const float> bias,
                                    const LinearOptions& requested) {
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
  packed->has_bias = !bias.empty();
  REPRISE_ASSIGN_OR_RETURN(packed->backend, PackBackend(options, {weight, bias}));
  return Linear(std::move(packed));
}

Linear::Linear(std::unique_ptr<Packed> packed) : packed_(std::move(packed)) {}
Linear::~Linear() = default;
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;

void Linear::Run(device::ThreadTeam& team, Operand x, Operand y, std::int64_t rows,
                 std::byte* scratchpad) const {
  const PanelLayout in = input(x.capacity_rows);
  const PanelLayout out = output(y.capacity_rows);
  const std::int64_t padded_rows = RoundedRows(rows);
  const std::int64_t block_rows = BlockRows(padded_rows, out.panels(), team.size());
  const std::int64_t blocks = (padded_rows + block_rows - 1) / block_rows;
  team.ParallelFor(blocks * out.panels(), [&](std::int64_t task, int worker) {
    // Neighbouring tasks share a row block, so its activations are still in L2.
    const std::int64_t first_row = task / out.panels() * block_rows;
    packed_->backend->Run({.x = static_cast<const std::byte*>(x.data),
                           .y = static_cast<std::byte*>(y.data),
                           .x_layout = in,
                           .y_layout = out,
                           .out_panel = task % out.panels(),
                           .first_row = first_row,
                           .rows = std::min(block_rows, padded_rows - first_row),
                           .scratchpad = scratchpad + worker * scratchpad_bytes()});
  });
}

const LinearOptions& Linear::options() const { return packed_->options; }
PanelLayout Linear::input(std::int64_t rows) const {
  return internal::InputLayout(packed_->options, rows);
}
PanelLayout Linear::output(std::int64_t rows) const {
  return internal::OutputLayout(packed_->options, rows);
}
std::int64_t Linear::scratchpad_bytes() const { return packed_->backend->scratchpad_bytes(); }
std::int64_t Linear::packed_bytes() const { return packed_->backend->packed_bytes(); }
std::int64_t Linear::parameters() const {
  return packed_->options.in_features * packed_->options.out_features +
         (packed_->has_bias ? packed_->options.out_features : 0);
}

}  // namespace reprise::engine::ops
