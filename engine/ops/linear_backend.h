// What a library or kernel must offer to be the matrix product behind ops::Linear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "engine/ops/linear.h"

namespace reprise::engine::ops::internal {

// The weights to pack; borrowed for the call.
struct LinearWeights {
  std::span<const float> weight;  // [out_features, in_features]
  std::span<const float> bias;    // [out_features] or empty
};

// One row block of one output panel: rows [first_row, first_row + rows) of x and y.
struct LinearBlock {
  const std::byte* x = nullptr;  // buffer in `x_layout`
  std::byte* y = nullptr;        // buffer in `y_layout`
  PanelLayout x_layout;
  PanelLayout y_layout;
  std::int64_t out_panel = 0;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;  // a multiple of kRowGranularity, at most kMaxBlockRows
  std::byte* scratchpad = nullptr;

  const std::byte* x_panel(std::int64_t panel) const {
    return x +
           x_layout.offset(panel, first_row) * static_cast<std::int64_t>(SizeOf(x_layout.dtype));
  }
  std::byte* y_panel() const {
    return y + y_layout.offset(out_panel, first_row) *
                   static_cast<std::int64_t>(SizeOf(y_layout.dtype));
  }
};

// Rows of the tallest block: enough to amortise the reads of a weight panel.
inline constexpr std::int64_t kMaxBlockRows = 128;

// Immutable after packing, thread-safe. Requirements on the numbers: a row's result depends on that
// row alone, whatever `rows` and the position of the block; nothing is allocated that grows with
// the problem.
class LinearBackend {
 public:
  virtual ~LinearBackend() = default;
  virtual void Run(const LinearBlock& block) const = 0;
  virtual std::int64_t packed_bytes() const = 0;
  virtual std::int64_t scratchpad_bytes() const = 0;
};

// oneDNN's brgemm matmuls. Unimplemented when oneDNN has none for the precision and the active
// instruction set: its other matmuls allocate workspace on every call and, on AVX2, round a row
// differently in blocks of different height.
absl::StatusOr<std::unique_ptr<LinearBackend>> PackOneDnn(const LinearOptions& options,
                                                          const LinearWeights& weights);

// bf16 on AMX tiles. Unimplemented for another precision or instruction set.
absl::StatusOr<std::unique_ptr<LinearBackend>> PackAmx(const LinearOptions& options,
                                                       const LinearWeights& weights);

// bf16 pairs with AVX-512. Unimplemented for another precision or instruction set.
absl::StatusOr<std::unique_ptr<LinearBackend>> PackAvx512Bf16(const LinearOptions& options,
                                                              const LinearWeights& weights);

// fp32 through Highway for every instruction set.
absl::StatusOr<std::unique_ptr<LinearBackend>> PackFloat(const LinearOptions& options,
                                                         const LinearWeights& weights);

// Layouts of x and y for up to `rows` rows.
PanelLayout InputLayout(const LinearOptions& options, std::int64_t rows);
PanelLayout OutputLayout(const LinearOptions& options, std::int64_t rows);

}  // namespace reprise::engine::ops::internal
