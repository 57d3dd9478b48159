// Owners of device memory and of host memory that the device can copy from and to directly.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/memory/memory_account.h"

namespace reprise::engine::cuda {

// Device memory of the calling thread's device, entered in DeviceAccount(). Move-only, not
// thread-safe. Aligned to 256 bytes.
class DeviceBuffer {
 public:
  // ResourceExhausted when the device has no memory left. `bytes` >= 0; 0 gives an empty buffer.
  // Zero-filled: numbers past the last token are then numbers.
  static absl::StatusOr<DeviceBuffer> Allocate(memory::Purpose purpose, std::int64_t bytes);

  DeviceBuffer() = default;
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
  memory::Purpose purpose_ = memory::Purpose::kScratch;
};

// Pinned host memory: copies to and from the device neither wait nor pass through another buffer.
class PinnedBuffer {
 public:
  static absl::StatusOr<PinnedBuffer> Allocate(std::int64_t bytes);

  PinnedBuffer() = default;
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// What the process's buffers take on its devices, all together. Thread-safe.
memory::MemoryAccount& DeviceAccount();

}  // namespace reprise::engine::cuda
