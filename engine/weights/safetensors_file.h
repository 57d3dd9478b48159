// A safetensors file opened for reading.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "engine/weights/mapped_file.h"
#include "engine/weights/safetensors_header.h"

namespace reprise::engine::weights {

// Immutable; thread-safe. The file stays mapped while this lives.
class SafetensorsFile {
 public:
  // NotFound if there is no such file, else the errors of ParseSafetensorsHeader.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // Row-major elements, little-endian, not aligned; valid while this lives.
  // Requires: `tensor` is one of tensors().
  std::span<const std::byte> bytes(const StoredTensor& tensor) const {
    return file_.bytes().subspan(header_.data_begin + tensor.begin, tensor.end - tensor.begin);
  }
  // The tensor has been read and will hardly be read again.
  void Release(const StoredTensor& tensor) const { file_.Release(bytes(tensor)); }

 private:
  SafetensorsFile(std::string path, MappedFile file, SafetensorsHeader header)
      : path_(std::move(path)), file_(std::move(file)), header_(std::move(header)) {}

  std::string path_;
  MappedFile file_;
  SafetensorsHeader header_;
};

}  // namespace reprise::engine::weights
