#include "engine/cuda/status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/device_health.h"

namespace reprise::engine::cuda {
namespace {

bool EndsContext(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorExternalDevice:
    case cudaErrorContained:
      return true;
    default:
      return false;
  }
}

absl::StatusCode CodeOf(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return absl::StatusCode::kResourceExhausted;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorInvalidDevice:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

const char* AdviceFor(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "; lower max_batch_tokens or the score cache, or load fewer models on this device";
    case cudaErrorNoDevice:
      return "; no NVIDIA GPU is visible here: use --device cpu, or see CUDA_VISIBLE_DEVICES and "
             "how "
             "the container was started";
    case cudaErrorInsufficientDriver:
      return "; the driver is missing or too old for CUDA 13, which needs version 580 or newer: "
             "use "
             "--device cpu, or install a newer driver";
    default:
      return EndsContext(error) ? "; the device is lost to this process, start it anew" : "";
  }
}

}  // namespace

absl::Status ToStatus(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return absl::OkStatus();
  // CUDA remembers an error that it has returned, and starting a kernel would find it once more.
  static_cast<void>(cudaGetLastError());
  const std::string message =
      absl::StrCat("CUDA error ", cudaGetErrorName(error), " (", cudaGetErrorString(error),
                   ") while ", doing, AdviceFor(error));
  if (EndsContext(error)) ReportDeviceLost(message);
  return absl::Status(CodeOf(error), message);
}

}  // namespace reprise::engine::cuda
