// Owners of device memory and of host memory that the device can copy from and to directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/memory/memory_account.h"

namespace reprise::engine::cuda {

// A block of memory that `Release` gives back. Move-only, not thread-safe. Aligned to 256 bytes.
template <typename Release>
class OwnedBlock {
 public:
  OwnedBlock() = default;
  OwnedBlock(std::byte* data, std::int64_t bytes, Release release)
      : data_(data, release), bytes_(bytes) {}

  std::byte* data() const { return data_.get(); }
  std::int64_t bytes() const { return data_ == nullptr ? 0 : bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }

 private:
  std::unique_ptr<std::byte, Release> data_;
  std::int64_t bytes_ = 0;
};

// A failure to free has no one to go to: the process ends, or the device is lost.
struct ReleaseDeviceMemory {
  memory::Purpose purpose = memory::Purpose::kScratch;
  std::int64_t bytes = 0;
  void operator()(std::byte* data) const;
};
struct ReleasePinnedMemory {
  void operator()(std::byte* data) const;
};

// Device memory of the calling thread's device, entered in MemoryAccount::Devices().
class DeviceBuffer : public OwnedBlock<ReleaseDeviceMemory> {
 public:
  // ResourceExhausted when the device has no memory left. `bytes` >= 0; 0 gives an empty buffer.
  // Zero-filled: numbers past the last token are then numbers.
  static absl::StatusOr<DeviceBuffer> Allocate(memory::Purpose purpose, std::int64_t bytes);
  // With a copy of these bytes, done when it returns.
  static absl::StatusOr<DeviceBuffer> Upload(memory::Purpose purpose,
                                             std::span<const std::byte> bytes);
  template <typename T>
  static absl::StatusOr<DeviceBuffer> Upload(memory::Purpose purpose,
                                             const std::vector<T>& values) {
    return Upload(purpose, std::as_bytes(std::span(values)));
  }
  DeviceBuffer() = default;

 private:
  using OwnedBlock::OwnedBlock;
  static absl::StatusOr<DeviceBuffer> Reserve(memory::Purpose purpose, std::int64_t bytes);
};

// Pinned host memory: copies to and from the device neither wait nor pass through another buffer.
class PinnedBuffer : public OwnedBlock<ReleasePinnedMemory> {
 public:
  static absl::StatusOr<PinnedBuffer> Allocate(std::int64_t bytes);
  PinnedBuffer() = default;

 private:
  using OwnedBlock::OwnedBlock;
};

}  // namespace reprise::engine::cuda
