// Owns one aligned block of host memory and enters it in the memory account.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/memory/memory_account.h"

namespace reprise::engine::memory {

inline constexpr std::int64_t kAlignment = 64;  // bytes; one cache line, one AVX-512 register

constexpr std::int64_t AlignUp(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Zero-filled, aligned to a page, on huge pages where the kernel gives them. Move-only; not
// thread-safe.
class Buffer {
 public:
  // ResourceExhausted when the system has no memory left. `bytes` >= 0; 0 gives an empty buffer.
  static absl::StatusOr<Buffer> Allocate(Purpose purpose, std::int64_t bytes);

  Buffer() = default;
  ~Buffer();
  Buffer(Buffer&& other) noexcept;  // leaves `other` empty
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;  // one block, one owner
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
  Purpose purpose_ = Purpose::kScratch;
};

}  // namespace reprise::engine::memory
