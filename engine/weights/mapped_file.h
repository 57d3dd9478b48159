// A file mapped into memory for reading.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace reprise::engine::weights {

// Owns one private read-only mapping; move-only, thread-compatible. Pages are read when touched, so
// a file must not be shortened while it is mapped: replace a model's files by rename, as our
// writers do.
class MappedFile {
 public:
  // NotFound if there is no such file; InvalidArgument if it is not a regular file;
  // PermissionDenied or Internal with the system's reason. An empty file maps to no bytes.
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;  // leaves `other` without bytes
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }  // valid while this lives

  // Says that `part` of bytes() has been read: its pages no longer count as this process's memory.
  // Reading them again is slower, not wrong.
  void Release(std::span<const std::byte> part) const;

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace reprise::engine::weights
