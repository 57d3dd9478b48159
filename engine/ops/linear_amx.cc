#include <memory>
#include <vector>

#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/ops/linear_amx-inl.h"
#include "engine/ops/linear_backend.h"

namespace reprise::engine::ops::internal {

absl::StatusOr<std::unique_ptr<LinearBackend>> PackAmx(const LinearOptions& options,
                                                       const LinearWeights& weights) {
  if (options.precision != DType::kBF16 || device::ActiveCpuIsa() < device::CpuIsa::kAmx) {
    return absl::UnimplementedError("these products are of bf16 numbers, on AMX");
  }
  auto backend = std::make_unique<AmxBackend<device::AmxTiles>>();
  REPRISE_RETURN_IF_ERROR(backend->Pack(options, weights));
  return backend;
}

}  // namespace reprise::engine::ops::internal
