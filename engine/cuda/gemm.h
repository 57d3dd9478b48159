// Dense layers on a GPU: y = x W^T + b in bf16 with fp32 sums, by cuBLASLt.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/stream.h"

namespace reprise::engine::cuda {

// How dense layers of one shape are run, for any number of rows up to a limit. Immutable,
// thread-safe.
//
// cuBLASLt offers several algorithms and which is fastest depends on the number of rows. They are
// tried when this is created, for some numbers of rows. Where they must be invariant, only such are
// taken as give the same bits for the same row: a row's numbers then depend on neither its
// neighbours nor their number, and algorithms that split the inner dimension are not considered.
class Gemm {
 public:
  // Tries on `example`, whose shape it is. FailedPrecondition without cuBLASLt, Internal when the
  // device can run no algorithm, ResourceExhausted without memory to try in. Takes 0.1 s or so.
  static absl::StatusOr<std::shared_ptr<const Gemm>> Tune(const Stream& stream,
                                                          const Dense& example,
                                                          std::int64_t max_rows, bool invariant);
  virtual ~Gemm() = default;

  // x [rows, in_features], y [rows, out_features]; 1 <= rows <= max_rows. `workspace` has
  // workspace_bytes().
  virtual absl::Status Run(const Stream& stream, const Dense& dense, const std::uint16_t* x,
                           std::uint16_t* y, std::int64_t rows, std::byte* workspace) const = 0;
  virtual std::int64_t workspace_bytes() const = 0;
};

}  // namespace reprise::engine::cuda
