#include "server/grpc/tensor_codec.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "google/protobuf/descriptor.h"

namespace reprise::server::grpc {
namespace {

using InputTensor = inference::ModelInferRequest::InferInputTensor;
using Contents = inference::InferTensorContents;

// Raw contents are copied as they lie in memory.
static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kLengthBytes = 4;

absl::Status Invalid(const InputTensor& input, std::string_view complaint) {
  return absl::InvalidArgumentError(
      absl::StrCat("input '", input.name(), "': ", std::string(complaint)));
}

struct Layout {
  Tensor tensor;           // name, datatype and shape; no elements yet
  std::int64_t count = 0;  // of elements
};

absl::StatusOr<Layout> ReadLayout(const InputTensor& input) {
  const auto datatype = ParseDataType(input.datatype());
  if (!datatype) {
    return Invalid(input, absl::StrCat("unknown datatype '", input.datatype(),
                                       "'; expected for example INT64, FP32 or BYTES"));
  }
  // A dimension of 0 makes the tensor empty, but the others must make sense all the same.
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t dim : input.shape()) {
    if (dim < 0) {
      return Invalid(
          input, absl::StrCat("shape [", absl::StrJoin(input.shape(), ","),
                              "] has the negative dimension ", dim, "; send the actual lengths"));
    }
    empty = empty || dim == 0;
    if (dim != 0 && __builtin_mul_overflow(product, dim, &product)) {
      return Invalid(input, absl::StrCat("shape [", absl::StrJoin(input.shape(), ","),
                                         "] has more elements than 64 bits can count"));
    }
  }
  Layout layout;
  layout.tensor.name = input.name();
  layout.tensor.datatype = *datatype;
  layout.tensor.shape.assign(input.shape().begin(), input.shape().end());
  layout.count = empty ? 0 : product;
  return layout;
}

absl::Status WrongCount(const InputTensor& input, std::int64_t found, std::int64_t expected) {
  return Invalid(input, absl::StrCat("found ", found, " elements, expected ", expected,
                                     " for shape [", absl::StrJoin(input.shape(), ","), "]"));
}

// The field of InferTensorContents for elements of a datatype; 0 for those that travel raw only.
int FieldFor(DataType datatype) {
  switch (datatype) {
    case DataType::kBool:
      return Contents::kBoolContentsFieldNumber;
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
      return Contents::kIntContentsFieldNumber;
    case DataType::kInt64:
      return Contents::kInt64ContentsFieldNumber;
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
      return Contents::kUintContentsFieldNumber;
    case DataType::kUint64:
      return Contents::kUint64ContentsFieldNumber;
    case DataType::kFp32:
      return Contents::kFp32ContentsFieldNumber;
    case DataType::kFp64:
      return Contents::kFp64ContentsFieldNumber;
    case DataType::kBytes:
      return Contents::kBytesContentsFieldNumber;
    case DataType::kFp16:
    case DataType::kBf16:
      return 0;
  }
  return 0;
}

// Elements may lie in the field of the tensor's datatype and nowhere else.
absl::Status CheckFields(const InputTensor& input, DataType datatype) {
  const int expected = FieldFor(datatype);
  if (expected == 0) {
    return Invalid(input, absl::StrCat("datatype ", input.datatype(),
                                       " has no typed field; use raw_input_contents"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> filled;
  Contents::GetReflection()->ListFields(input.contents(), &filled);
  for (const auto* field : filled) {
    if (field->number() != expected) {
      return Invalid(input,
                     absl::StrCat("found elements in ", field->name(), ", expected datatype ",
                                  input.datatype(), " in ",
                                  Contents::descriptor()->FindFieldByNumber(expected)->name()));
    }
  }
  return absl::OkStatus();
}

// Appends `values` to the tensor as `Element`s, each of which must hold its value exactly.
template <typename Element, typename Field>
absl::Status StoreNumbers(const InputTensor& input, const Field& values, Layout* layout) {
  if (values.size() != layout->count) {
    return WrongCount(input, values.size(), layout->count);
  }
  std::string& raw = layout->tensor.raw;
  raw.resize(values.size() * sizeof(Element));
  char* out = raw.data();
  for (const auto value : values) {
    const auto element = static_cast<Element>(value);
    if constexpr (std::numeric_limits<Element>::is_integer) {
      if (element != value) {
        return Invalid(input,
                       absl::StrCat("the value ", value, " does not fit ", input.datatype()));
      }
    }
    std::memcpy(out, &element, sizeof(Element));
    out += sizeof(Element);
  }
  return absl::OkStatus();
}

absl::Status StoreTyped(const InputTensor& input, Contents* contents, Layout* layout) {
  switch (layout->tensor.datatype) {
    case DataType::kBool:
      return StoreNumbers<bool>(input, contents->bool_contents(), layout);
    case DataType::kInt8:
      return StoreNumbers<std::int8_t>(input, contents->int_contents(), layout);
    case DataType::kInt16:
      return StoreNumbers<std::int16_t>(input, contents->int_contents(), layout);
    case DataType::kInt32:
      return StoreNumbers<std::int32_t>(input, contents->int_contents(), layout);
    case DataType::kInt64:
      return StoreNumbers<std::int64_t>(input, contents->int64_contents(), layout);
    case DataType::kUint8:
      return StoreNumbers<std::uint8_t>(input, contents->uint_contents(), layout);
    case DataType::kUint16:
      return StoreNumbers<std::uint16_t>(input, contents->uint_contents(), layout);
    case DataType::kUint32:
      return StoreNumbers<std::uint32_t>(input, contents->uint_contents(), layout);
    case DataType::kUint64:
      return StoreNumbers<std::uint64_t>(input, contents->uint64_contents(), layout);
    case DataType::kFp32:
      return StoreNumbers<float>(input, contents->fp32_contents(), layout);
    case DataType::kFp64:
      return StoreNumbers<double>(input, contents->fp64_contents(), layout);
    case DataType::kFp16:
    case DataType::kBf16:
      break;  // refused by CheckFields
    case DataType::kBytes:
      if (contents->bytes_contents_size() != layout->count) {
        return WrongCount(input, contents->bytes_contents_size(), layout->count);
      }
      layout->tensor.elements.assign(
          std::make_move_iterator(contents->mutable_bytes_contents()->begin()),
          std::make_move_iterator(contents->mutable_bytes_contents()->end()));
      return absl::OkStatus();
  }
  return absl::InternalError("a datatype without a rule");
}

absl::Status SplitRawBytes(const InputTensor& input, std::string_view raw, Layout* layout) {
  std::vector<std::string>& elements = layout->tensor.elements;
  // The shape is the client's word, the buffer is what it paid for: never reserve more than that.
  elements.reserve(std::min<std::size_t>(layout->count, raw.size() / kLengthBytes));
  std::size_t offset = 0;
  while (offset < raw.size()) {
    std::uint32_t length = 0;
    if (raw.size() - offset < kLengthBytes) {
      return Invalid(input, absl::StrCat("the raw contents end within the length of element ",
                                         elements.size()));
    }
    std::memcpy(&length, raw.data() + offset, kLengthBytes);
    offset += kLengthBytes;
    if (length > raw.size() - offset) {
      return Invalid(
          input, absl::StrCat("element ", elements.size(), " claims ", length, " bytes, but only ",
                              raw.size() - offset, " are left in the raw contents"));
    }
    if (static_cast<std::int64_t>(elements.size()) == layout->count) {
      return Invalid(input,
                     absl::StrCat("the raw contents hold more than the ", layout->count,
                                  " elements of shape [", absl::StrJoin(input.shape(), ","), "]"));
    }
    elements.emplace_back(raw.substr(offset, length));
    offset += length;
  }
  if (static_cast<std::int64_t>(elements.size()) != layout->count) {
    return WrongCount(input, elements.size(), layout->count);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Tensor> DecodeTypedTensor(InputTensor input) {
  REPRISE_ASSIGN_OR_RETURN(Layout layout, ReadLayout(input));
  REPRISE_RETURN_IF_ERROR(CheckFields(input, layout.tensor.datatype));
  REPRISE_RETURN_IF_ERROR(StoreTyped(input, input.mutable_contents(), &layout));
  return std::move(layout.tensor);
}

absl::StatusOr<Tensor> DecodeRawTensor(const InputTensor& input, std::string raw) {
  REPRISE_ASSIGN_OR_RETURN(Layout layout, ReadLayout(input));
  if (layout.tensor.datatype == DataType::kBytes) {
    REPRISE_RETURN_IF_ERROR(SplitRawBytes(input, raw, &layout));
    return std::move(layout.tensor);
  }
  std::int64_t expected = 0;
  if (__builtin_mul_overflow(
          layout.count, static_cast<std::int64_t>(SizeOf(layout.tensor.datatype)), &expected) ||
      expected != static_cast<std::int64_t>(raw.size())) {
    return Invalid(input,
                   absl::StrCat("the raw contents have ", raw.size(), " bytes, expected shape [",
                                absl::StrJoin(input.shape(), ","), "] times ",
                                SizeOf(layout.tensor.datatype), " bytes of ", input.datatype()));
  }
  if (layout.tensor.datatype == DataType::kBool &&
      std::any_of(raw.begin(), raw.end(), [](char byte) { return byte != 0 && byte != 1; })) {
    return Invalid(input, "a BOOL must be 0 or 1");
  }
  layout.tensor.raw = std::move(raw);
  return std::move(layout.tensor);
}

absl::StatusOr<std::string> EncodeRaw(Tensor tensor) {
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

}  // namespace reprise::server::grpc
