// Arrays in device memory for tests, which run on an emulated GPU and, where there is one, on a
// real one.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/check.h"
#include "engine/cuda/memory.h"

// First line of a test that needs a GPU: says so where there is none. The emulated one counts.
#define REPRISE_SKIP_WITHOUT_GPU()                                 \
  do {                                                             \
    if (!::reprise::engine::cuda::ThereIsAGpu()) {                 \
      GTEST_SKIP() << "this machine has no GPU that CUDA can use"; \
    }                                                              \
  } while (false)

namespace reprise::engine::cuda {

inline bool ThereIsAGpu() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

// A copy of some values in device memory.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::span<const T> values) : size_(values.size()) {
    absl::StatusOr<DeviceBuffer> buffer =
        DeviceBuffer::Upload(memory::Purpose::kScratch, std::as_bytes(values));
    REPRISE_CHECK(buffer.ok());
    buffer_ = *std::move(buffer);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(std::span(values)) {}
  DeviceArray(std::size_t size, T value) : DeviceArray(std::vector<T>(size, value)) {}

  T* data() const { return buffer_.as<T>(); }
  std::size_t size() const { return size_; }
  // As they are once the device has done all its work.
  std::vector<T> Values() const {
    std::vector<T> values(size_);
    REPRISE_CHECK(cudaDeviceSynchronize() == cudaSuccess);
    REPRISE_CHECK(cudaMemcpy(values.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost) ==
                  cudaSuccess);
    return values;
  }

 private:
  DeviceBuffer buffer_;
  std::size_t size_ = 0;
};

}  // namespace reprise::engine::cuda
