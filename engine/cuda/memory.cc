#include "engine/cuda/memory.h"

#include <cuda_runtime_api.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cuda/status.h"

namespace reprise::engine::cuda {

void ReleaseDeviceMemory::operator()(std::byte* data) const {
  static_cast<void>(cudaFree(data));
  memory::MemoryAccount::Devices().Add(purpose, -bytes);
}

void ReleasePinnedMemory::operator()(std::byte* data) const {
  static_cast<void>(cudaFreeHost(data));
}

// With whatever was there before.
absl::StatusOr<DeviceBuffer> DeviceBuffer::Reserve(memory::Purpose purpose, std::int64_t bytes) {
  if (bytes == 0) return DeviceBuffer();
  const std::string doing = absl::StrCat("allocating ", bytes, " bytes of device memory for ",
                                         std::string(Name(purpose)));
  void* data = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaMalloc(&data, static_cast<std::size_t>(bytes)), doing.c_str());
  memory::MemoryAccount::Devices().Add(purpose, bytes);
  return DeviceBuffer(static_cast<std::byte*>(data), bytes, {purpose, bytes});
}

absl::StatusOr<DeviceBuffer> DeviceBuffer::Allocate(memory::Purpose purpose, std::int64_t bytes) {
  REPRISE_ASSIGN_OR_RETURN(DeviceBuffer buffer, Reserve(purpose, bytes));
  if (bytes == 0) return buffer;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaMemset(buffer.data(), 0, static_cast<std::size_t>(bytes)),
                               "clearing device memory");
  // Executors' streams do not wait for the default stream, where this was put.
  REPRISE_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(nullptr), "clearing device memory");
  return buffer;
}

absl::StatusOr<DeviceBuffer> DeviceBuffer::Upload(memory::Purpose purpose,
                                                  std::span<const std::byte> bytes) {
  REPRISE_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                           Reserve(purpose, static_cast<std::int64_t>(bytes.size())));
  if (bytes.empty()) return buffer;
  REPRISE_CUDA_RETURN_IF_ERROR(
      cudaMemcpy(buffer.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice),
      "copying to device memory");
  REPRISE_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(nullptr), "copying to device memory");
  return buffer;
}

absl::StatusOr<PinnedBuffer> PinnedBuffer::Allocate(std::int64_t bytes) {
  if (bytes == 0) return PinnedBuffer();
  void* data = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(
      cudaHostAlloc(&data, static_cast<std::size_t>(bytes), cudaHostAllocDefault),
      "allocating pinned host memory");
  return PinnedBuffer(static_cast<std::byte*>(data), bytes, {});
}

}  // namespace reprise::engine::cuda
