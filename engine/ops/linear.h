// A dense layer with its weights packed for the matrix units: y = activation(x W^T + b).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/ops/panel_layout.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine::ops {

enum class Epilogue { kNone, kGeluErf, kGeluTanh, kRelu, kTanh };

struct LinearOptions {
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  std::int64_t in_panel = 0;            // panel_columns of x; 0: one panel
  std::int64_t out_panel = 0;           // panel_columns of y; 0: one panel
  DType precision = DType::kF32;        // of x and W; products accumulate in fp32
  DType output = DType::kF32;           // of y; must be kF32 when x has several panels
  Epilogue epilogue = Epilogue::kNone;  // must be kNone when x has several panels
};

// Immutable after packing; Run is thread-safe when each caller brings its own scratchpad.
//
// Rows are cut into blocks; a task is one row block of one output panel, a single-threaded oneDNN
// matmul for each input panel. So the same numbers come out for any number of threads, and a row's
// numbers do not depend on the other rows.
class Linear {
 public:
  // weight [out_features, in_features] row-major, bias [out_features] or empty. Unimplemented when
  // the active instruction set cannot multiply `precision`. The arguments are not referenced
  // afterwards.
  static absl::StatusOr<Linear> Pack(std::span<const float> weight, std::span<const float> bias,
                                     const LinearOptions& options);
  ~Linear();
  Linear(Linear&&) noexcept;
  Linear& operator=(Linear&&) noexcept;
  Linear(const Linear&) = delete;
  Linear& operator=(const Linear&) = delete;

  // y[row, :] for row in [0, rows). RoundedRows(rows) rows of x are read and of y written; x and y
  // must not overlap. x, y: buffers in layouts input(x_capacity_rows) and output(y_capacity_rows).
  // scratchpad: scratchpad_bytes() for each worker of `team`, one after another.
  struct Operand {
    void* data = nullptr;
    std::int64_t capacity_rows = 0;
  };
  void Run(device::ThreadTeam& team, Operand x, Operand y, std::int64_t rows,
           std::byte* scratchpad) const;

  const LinearOptions& options() const;
  PanelLayout input(std::int64_t rows) const;   // of x for up to `rows` rows
  PanelLayout output(std::int64_t rows) const;  // of y for up to `rows` rows
  std::int64_t scratchpad_bytes() const;        // per worker, a multiple of the cache line
  std::int64_t packed_bytes() const;            // weights and bias as held in memory
  std::int64_t parameters() const;              // numbers in weight and bias

 private:
  struct Packed;
  explicit Linear(std::unique_ptr<Packed> packed);
  std::unique_ptr<Packed> packed_;
};

}  // namespace reprise::engine::ops
