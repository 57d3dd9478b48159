#include "engine/memory/buffer.h"

#include <sys/mman.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace reprise::engine::memory {
namespace {
constexpr std::int64_t kHugePage = 2 << 20;
}

MemoryAccount& MemoryAccount::Devices() {
  static MemoryAccount account;
  return account;
}

MemoryAccount& MemoryAccount::Process() {
  static MemoryAccount account;
  return account;
}

absl::StatusOr<Buffer> Buffer::Allocate(Purpose purpose, std::int64_t bytes) {
  Buffer buffer;
  buffer.purpose_ = purpose;
  if (bytes == 0) return buffer;
  void* block =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, /*fd=*/-1, 0);
  if (block == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", bytes, " bytes of memory for ",
                     absl::string_view(Name(purpose).data(), Name(purpose).size()),
                     "; lower the batch limits or the score cache"));
  }
  // Advice only: weights are streamed whole, so fewer TLB misses; a refusal costs nothing.
  if (bytes >= kHugePage) madvise(block, bytes, MADV_HUGEPAGE);
  buffer.data_ = static_cast<std::byte*>(block);
  buffer.bytes_ = bytes;
  MemoryAccount::Process().Add(purpose, bytes);
  return buffer;
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  munmap(data_, bytes_);
  MemoryAccount::Process().Add(purpose_, -bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      purpose_(other.purpose_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(purpose_, other.purpose_);
  return *this;
}

}  // namespace reprise::engine::memory
