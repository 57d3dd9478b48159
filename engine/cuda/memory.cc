#include "engine/cuda/memory.h"

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cuda/status.h"

namespace reprise::engine::cuda {

memory::MemoryAccount& DeviceAccount() {
  static memory::MemoryAccount account;
  return account;
}

absl::StatusOr<DeviceBuffer> DeviceBuffer::Allocate(memory::Purpose purpose, std::int64_t bytes) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  const std::string doing = absl::StrCat("allocating ", bytes, " bytes of device memory for ",
                                         std::string(Name(purpose)));
  void* data = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(cudaMalloc(&data, static_cast<std::size_t>(bytes)), doing.c_str());
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.bytes_ = bytes;
  buffer.purpose_ = purpose;
  DeviceAccount().Add(purpose, bytes);
  REPRISE_CUDA_RETURN_IF_ERROR(cudaMemset(data, 0, static_cast<std::size_t>(bytes)),
                               "clearing device memory");
  // Executors' streams do not wait for the default stream, where this was put.
  REPRISE_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(nullptr), "clearing device memory");
  return buffer;
}

// A failure to free has no one to go to: the process ends, or the device is lost.
DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  static_cast<void>(cudaFree(data_));
  DeviceAccount().Add(purpose_, -bytes_);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      purpose_(other.purpose_) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(purpose_, other.purpose_);
  return *this;
}

absl::StatusOr<PinnedBuffer> PinnedBuffer::Allocate(std::int64_t bytes) {
  PinnedBuffer buffer;
  if (bytes == 0) return buffer;
  void* data = nullptr;
  REPRISE_CUDA_RETURN_IF_ERROR(
      cudaHostAlloc(&data, static_cast<std::size_t>(bytes), cudaHostAllocDefault),
      "allocating pinned host memory");
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.bytes_ = bytes;
  return buffer;
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) static_cast<void>(cudaFreeHost(data_));
}

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace reprise::engine::cuda
