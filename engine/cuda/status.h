// CUDA's error codes as absl::Status.
#pragma once

#include <cuda_runtime_api.h>

#include "absl/status/status.h"
#include "engine/check.h"

namespace reprise::engine::cuda {

// OK for cudaSuccess. ResourceExhausted when memory ran out, FailedPrecondition when there is no
// driver or no device, Internal else, each with CUDA's name of the error, `doing` (for example
// "allocating 12 bytes") and what to do. An error after which the context is lost is reported to
// engine/device_health.h.
absl::Status ToStatus(cudaError_t error, const char* doing);

}  // namespace reprise::engine::cuda

// Returns from the calling function if a CUDA call fails.
#define REPRISE_CUDA_RETURN_IF_ERROR(call, doing) \
  REPRISE_RETURN_IF_ERROR(::reprise::engine::cuda::ToStatus((call), (doing)))
