#include "engine/cuda/device.h"

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cuda/status.h"

namespace reprise::engine::cuda {
namespace {

constexpr int kLeastComputeMajor = 8;

absl::StatusOr<int> Attribute(cudaDeviceAttr attribute, int ordinal) {
  int value = 0;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaDeviceGetAttribute(&value, attribute, ordinal),
                               "asking a device what it can do");
  return value;
}

}  // namespace

absl::Status UseDevice(int ordinal) {
  return ToStatus(cudaSetDevice(ordinal), "choosing the device");
}

absl::StatusOr<Device> OpenDevice(int ordinal) {
  int count = 0;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaGetDeviceCount(&count), "looking for devices");
  if (ordinal < 0 || ordinal >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no device cuda:", ordinal, ": this machine shows ", count,
                     count == 1 ? " GPU, cuda:0" : " GPUs, counted from cuda:0"));
  }
  REPRISE_RETURN_IF_ERROR(UseDevice(ordinal));
  Device device;
  device.ordinal = ordinal;
  REPRISE_ASSIGN_OR_RETURN(device.compute_major,
                           Attribute(cudaDevAttrComputeCapabilityMajor, ordinal));
  REPRISE_ASSIGN_OR_RETURN(device.compute_minor,
                           Attribute(cudaDevAttrComputeCapabilityMinor, ordinal));
  REPRISE_ASSIGN_OR_RETURN(device.multiprocessors,
                           Attribute(cudaDevAttrMultiProcessorCount, ordinal));
  REPRISE_ASSIGN_OR_RETURN(device.l2_bytes, Attribute(cudaDevAttrL2CacheSize, ordinal));
  REPRISE_ASSIGN_OR_RETURN(device.shared_block_bytes,
                           Attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal));
  cudaDeviceProp properties;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaGetDeviceProperties(&properties, ordinal),
                               "asking a device for its name");
  device.name = properties.name;
  if (device.compute_major < kLeastComputeMajor) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cuda:", ordinal, " is ", device.name, " with compute capability ", device.compute_major,
        ".", device.compute_minor, "; reprise needs 8.0 (Ampere) or newer, or --device cpu"));
  }
  std::size_t free = 0;
  std::size_t total = 0;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaMemGetInfo(&free, &total), "asking a device for its memory");
  device.free_bytes = static_cast<std::int64_t>(free);
  device.memory_bytes = static_cast<std::int64_t>(total);
  return device;
}

}  // namespace reprise::engine::cuda
