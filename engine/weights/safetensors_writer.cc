#include "engine/weights/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/element_codec.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::weights {
namespace {

// Unlike any other writer's, in this process or another.
std::string PartialPath(const std::string& path) {
  static std::atomic<int> count{0};
  return absl::StrCat(path, ".partial-", getpid(), "-", count.fetch_add(1));
}

std::uint64_t BytesPerElement(const TensorDeclaration& tensor) {
  const std::int64_t count = ElementCount(tensor.shape);
  return count == 0 ? 0 : tensor.bytes / static_cast<std::uint64_t>(count);
}

}  // namespace

TensorDeclaration Declare(const TensorSpec& spec, DType dtype) {
  return {spec.name, std::string(Name(dtype)), spec.shape,
          static_cast<std::uint64_t>(ElementCount(spec.shape)) * SizeOf(dtype)};
}

absl::StatusOr<std::unique_ptr<SafetensorsWriter>> SafetensorsWriter::Create(
    const std::string& path, std::vector<TensorDeclaration> tensors) {
  const std::string partial_path = PartialPath(path);
  const int descriptor =
      open(partial_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot create '", partial_path, "'"));
  }
  std::unique_ptr<SafetensorsWriter> writer(
      new SafetensorsWriter(path, partial_path, descriptor));  // private constructor
  REPRISE_RETURN_IF_ERROR(writer->WriteHeader(std::move(tensors)));
  return writer;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(partial_path_.c_str());
}

absl::Status SafetensorsWriter::WriteHeader(std::vector<TensorDeclaration> tensors) {
  std::ranges::stable_sort(tensors, std::ranges::greater{}, BytesPerElement);
  nlohmann::json header;
  header["__metadata__"] = {{"format", "pt"}};  // Hugging Face's loaders ask for it
  for (const TensorDeclaration& tensor : tensors) {
    const bool is_new =
        pending_.emplace(tensor.name, Pending{tensor.dtype, data_bytes_, tensor.bytes}).second;
    if (!is_new) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", tensor.name, "' is declared twice for '", path_, "'"));
    }
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data_bytes_, data_bytes_ + tensor.bytes}}};
    data_bytes_ += tensor.bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // aligns the data section
  const std::uint64_t length = text.size();
  for (auto& [name, pending] : pending_) pending.offset += sizeof(length) + length;
  REPRISE_RETURN_IF_ERROR(WriteAt(0, std::as_bytes(std::span(&length, 1))));
  return WriteAt(sizeof(length), std::as_bytes(std::span(text)));
}

absl::StatusOr<SafetensorsWriter::Pending> SafetensorsWriter::Take(const std::string& name,
                                                                   std::uint64_t bytes) {
  const auto it = pending_.find(name);
  if (it == pending_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", name, "' of '", path_, "' is not declared or was written before"));
  }
  const Pending pending = it->second;
  if (bytes != pending.bytes) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' of '", path_, "' has ",
                                                   bytes, " bytes; its declaration says ",
                                                   pending.bytes));
  }
  pending_.erase(it);
  return pending;
}

absl::Status SafetensorsWriter::Write(const std::string& name, std::span<const float> values) {
  const auto it = pending_.find(name);
  const std::optional<DType> dtype =
      it == pending_.end() ? DType::kF32 : ParseDType(it->second.dtype);
  if (!dtype.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor '", name, "' is declared as ", it->second.dtype, "; values need F32, F16 or BF16"));
  }
  REPRISE_ASSIGN_OR_RETURN(Pending target, Take(name, values.size() * SizeOf(*dtype)));
  std::array<std::byte, 1 << 16> buffer;
  while (!values.empty()) {
    const std::size_t count = std::min(values.size(), buffer.size() / SizeOf(*dtype));
    const std::span<std::byte> bytes = std::span(buffer).first(count * SizeOf(*dtype));
    EncodeElements(*dtype, values.first(count), bytes);
    REPRISE_RETURN_IF_ERROR(WriteAt(target.offset, bytes));
    target.offset += bytes.size();
    values = values.subspan(count);
  }
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::WriteBytes(const std::string& name,
                                           std::span<const std::byte> bytes) {
  REPRISE_ASSIGN_OR_RETURN(const Pending target, Take(name, bytes.size()));
  return WriteAt(target.offset, bytes);
}

absl::Status SafetensorsWriter::WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", partial_path_, "'"));
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Finish() {
  if (!pending_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("tensor '", pending_.begin()->first, "' of '",
                                                      path_, "' was declared but not written"));
  }
  // On disk before it takes the name, so that a crash leaves the old file or the whole new one.
  if (fsync(descriptor_) != 0 || std::rename(partial_path_.c_str(), path_.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot put '", path_, "' in place"));
  }
  close(std::exchange(descriptor_, -1));
  return absl::OkStatus();
}

}  // namespace reprise::engine::weights
