#include "server/wire/tensor_elements.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"

namespace reprise::server::wire {
namespace {

// Raw contents are copied as they lie in memory.
static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kLengthBytes = 4;

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

absl::Status Invalid(const TensorLayout& layout, std::string_view complaint) {
  return InvalidInput(layout.tensor.name, complaint);
}

absl::StatusOr<Tensor> SplitRawBytes(TensorLayout layout, std::string_view raw) {
  std::vector<std::string>& elements = layout.tensor.elements;
  // The shape is the client's word, the buffer is what it paid for: never reserve more than that.
  elements.reserve(std::min<std::size_t>(layout.count, raw.size() / kLengthBytes));
  std::size_t offset = 0;
  while (offset < raw.size()) {
    std::uint32_t length = 0;
    if (raw.size() - offset < kLengthBytes) {
      return Invalid(layout, absl::StrCat("the raw contents end within the length of element ",
                                          elements.size()));
    }
    std::memcpy(&length, raw.data() + offset, kLengthBytes);
    offset += kLengthBytes;
    if (length > raw.size() - offset) {
      return Invalid(
          layout, absl::StrCat("element ", elements.size(), " claims ", length, " bytes, but only ",
                               raw.size() - offset, " are left in the raw contents"));
    }
    if (static_cast<std::int64_t>(elements.size()) == layout.count) {
      return Invalid(layout, absl::StrCat("the raw contents hold more than the ", layout.count,
                                          " elements of shape ", ShapeText(layout.tensor.shape)));
    }
    elements.emplace_back(raw.substr(offset, length));
    offset += length;
  }
  if (static_cast<std::int64_t>(elements.size()) != layout.count) {
    return WrongCount(layout, static_cast<std::int64_t>(elements.size()));
  }
  return std::move(layout.tensor);
}

}  // namespace

absl::Status InvalidInput(std::string_view name, std::string_view complaint) {
  return absl::InvalidArgumentError(
      absl::StrCat("input '", std::string(name), "': ", std::string(complaint)));
}

absl::Status WrongCount(const TensorLayout& layout, std::int64_t found) {
  return Invalid(layout, absl::StrCat("found ", found, " elements, expected ", layout.count,
                                      " for shape ", ShapeText(layout.tensor.shape)));
}

absl::StatusOr<TensorLayout> ReadLayout(std::string name, std::string_view datatype,
                                        std::vector<std::int64_t> shape) {
  const auto known = ParseDataType(datatype);
  if (!known) {
    return InvalidInput(name, absl::StrCat("unknown datatype '", std::string(datatype),
                                           "'; expected for example INT64, FP32 or BYTES"));
  }
  // A dimension of 0 makes the tensor empty, but the others must make sense all the same.
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) {
      return InvalidInput(
          name, absl::StrCat("shape ", ShapeText(shape), " has the negative dimension ", dim,
                             "; send the actual lengths"));
    }
    empty = empty || dim == 0;
    if (dim != 0 && __builtin_mul_overflow(product, dim, &product)) {
      return InvalidInput(name, absl::StrCat("shape ", ShapeText(shape),
                                             " has more elements than 64 bits can count"));
    }
  }
  TensorLayout layout;
  layout.tensor.name = std::move(name);
  layout.tensor.datatype = *known;
  layout.tensor.shape = std::move(shape);
  layout.count = empty ? 0 : product;
  return layout;
}

absl::Status CheckInputNames(const std::vector<Tensor>& inputs) {
  absl::flat_hash_set<std::string_view> names;
  for (const Tensor& input : inputs) {
    if (!names.insert(input.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("input '", input.name, "' is given twice; expected once"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOutputNames(const std::vector<std::string>& names) {
  absl::flat_hash_set<std::string_view> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("output '", name, "' is asked for twice; expected once"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> StoreRaw(TensorLayout layout, std::string raw) {
  if (layout.tensor.datatype == DataType::kBytes) return SplitRawBytes(std::move(layout), raw);
  const std::size_t element_bytes = SizeOf(layout.tensor.datatype);
  std::int64_t expected = 0;
  if (__builtin_mul_overflow(layout.count, static_cast<std::int64_t>(element_bytes), &expected) ||
      expected != static_cast<std::int64_t>(raw.size())) {
    return Invalid(
        layout, absl::StrCat("the raw contents have ", raw.size(), " bytes, expected shape ",
                             ShapeText(layout.tensor.shape), " times ", element_bytes, " bytes of ",
                             std::string(Name(layout.tensor.datatype))));
  }
  if (layout.tensor.datatype == DataType::kBool &&
      std::any_of(raw.begin(), raw.end(), [](char byte) { return byte != 0 && byte != 1; })) {
    return Invalid(layout, "a BOOL must be 0 or 1");
  }
  layout.tensor.raw = std::move(raw);
  return std::move(layout.tensor);
}

absl::StatusOr<Tensor> StoreTexts(TensorLayout layout, std::vector<std::string> elements) {
  REPRISE_CHECK(layout.tensor.datatype == DataType::kBytes);
  if (static_cast<std::int64_t>(elements.size()) != layout.count) {
    return WrongCount(layout, static_cast<std::int64_t>(elements.size()));
  }
  layout.tensor.elements = std::move(elements);
  return std::move(layout.tensor);
}

absl::StatusOr<std::string> ToRaw(Tensor tensor) {
  if (tensor.datatype != DataType::kBytes) {
    return std::move(tensor.raw);
  }
  std::size_t size = 0;
  for (const std::string& element : tensor.elements) {
    if (element.size() > std::numeric_limits<std::uint32_t>::max()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("an element of output '", tensor.name, "' takes ", element.size(),
                       " bytes; the protocol carries less than 4 GiB"));
    }
    size += kLengthBytes + element.size();
  }
  std::string raw;
  raw.reserve(size);
  for (const std::string& element : tensor.elements) {
    const auto length = static_cast<std::uint32_t>(element.size());
    raw.append(reinterpret_cast<const char*>(&length), kLengthBytes);
    raw.append(element);
  }
  return raw;
}

}  // namespace reprise::server::wire
