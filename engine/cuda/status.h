// CUDA's error codes as absl::Status, and the latch for errors that end a context.
#pragma once

#include <cuda_runtime_api.h>

#include "absl/status/status.h"
#include "engine/check.h"

namespace reprise::engine::cuda {

// OK for cudaSuccess. ResourceExhausted when memory ran out, FailedPrecondition when there is no
// driver or no device, Internal else, each with CUDA's name of the error, `doing` (for example
// "allocating 12 bytes") and what to do. An error after which the context is lost is latched.
absl::Status ToStatus(cudaError_t error, const char* doing);

// Whether a kernel or copy has failed in a way that no later call can succeed after: from then on
// every executor refuses, and the process has to be started anew.
bool DeviceIsLost();

}  // namespace reprise::engine::cuda

// Returns from the calling function if a CUDA call fails.
#define REPRISE_CUDA_RETURN_IF_ERROR(call, doing) \
  REPRISE_RETURN_IF_ERROR(::reprise::engine::cuda::ToStatus((call), (doing)))
