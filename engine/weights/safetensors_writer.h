// Writes a safetensors file tensor by tensor, so that no model needs to be in memory at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/tensor/dtype.h"
#include "engine/weights/tensor_spec.h"

namespace reprise::engine::weights {

// One tensor of the file to come. `dtype` is written as it is; Write accepts only those that
// ParseDType knows, WriteBytes any.
struct TensorDeclaration {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;
};

TensorDeclaration Declare(const TensorSpec& spec, DType dtype);

// Call order: Create, then Write or WriteBytes once per declared tensor in any order, then Finish.
// The bytes go to a file beside `path` that takes its place in Finish; without Finish it is removed
// with the writer, so a reader never sees half a file. Not thread-safe.
class SafetensorsWriter {
 public:
  // Writes the header. Wider elements come first, which aligns every tensor to its elements.
  // InvalidArgument if a name is declared twice; the system's error if the file cannot be made.
  static absl::StatusOr<std::unique_ptr<SafetensorsWriter>> Create(
      const std::string& path, std::vector<TensorDeclaration> tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // Converts to the declared type, rounding to nearest even. InvalidArgument if the tensor is not
  // declared, was written before, or has another number of elements; ResourceExhausted if the disk
  // is full.
  absl::Status Write(const std::string& name, std::span<const float> values);
  // The same with the elements' bytes as they are to stand in the file.
  absl::Status WriteBytes(const std::string& name, std::span<const std::byte> bytes);

  // Puts the file in place. FailedPrecondition names a tensor that was not written.
  absl::Status Finish();

  std::uint64_t data_bytes() const { return data_bytes_; }  // of all declared tensors

 private:
  struct Pending {
    std::string dtype;
    std::uint64_t offset;  // in the file
    std::uint64_t bytes;
  };

  SafetensorsWriter(std::string path, std::string partial_path, int descriptor)
      : path_(std::move(path)), partial_path_(std::move(partial_path)), descriptor_(descriptor) {}
  absl::Status WriteHeader(std::vector<TensorDeclaration> tensors);
  // Checks that `name` is to be written with `bytes` bytes, and takes it off the list.
  absl::StatusOr<Pending> Take(const std::string& name, std::uint64_t bytes);
  absl::Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes);

  std::string path_;
  std::string partial_path_;
  int descriptor_;  // -1 after Finish
  std::uint64_t data_bytes_ = 0;
  std::map<std::string, Pending> pending_;
};

}  // namespace reprise::engine::weights
