// The elements of a tensor that a client sends or gets, by the rules of the Open Inference Protocol
// that do not depend on how the message around them is written.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/request/tensor.h"

namespace reprise::server::wire {

// A tensor whose elements are still to be stored: exactly `count` of them.
struct TensorLayout {
  Tensor tensor;           // name, datatype and shape; no elements yet
  std::int64_t count = 0;  // of elements
};

// InvalidArgument "input 'NAME': COMPLAINT".
absl::Status InvalidInput(std::string_view name, std::string_view complaint);
// InvalidArgument: another number of elements than the shape says.
absl::Status WrongCount(const TensorLayout& layout, std::int64_t found);

// InvalidArgument for a datatype that does not exist, a negative dimension, or a shape whose size
// overflows; a dimension of 0 makes the tensor empty and excuses none of these.
absl::StatusOr<TensorLayout> ReadLayout(std::string name, std::string_view datatype,
                                        std::vector<std::int64_t> shape);

// InvalidArgument when two inputs, or two of the outputs asked for, have one name.
absl::Status CheckInputNames(const std::vector<Tensor>& inputs);
absl::Status CheckOutputNames(const std::vector<std::string>& names);

// Elements in `raw`, little-endian, row-major and dense; each BYTES element is a 4-byte length
// followed by that many bytes. InvalidArgument for a size that does not fit the shape, a length
// that leaves the buffer, or a BOOL other than 0 and 1.
absl::StatusOr<Tensor> StoreRaw(TensorLayout layout, std::string raw);
// InvalidArgument unless there are `layout.count` of them. Requires: the datatype is BYTES.
absl::StatusOr<Tensor> StoreTexts(TensorLayout layout, std::vector<std::string> elements);

// The layout of StoreRaw for a reply. ResourceExhausted for a BYTES element of 4 GiB or more.
absl::StatusOr<std::string> ToRaw(Tensor tensor);

// Whether `Element` holds the number exactly. Any number will do for a floating-point element.
template <typename Element, typename Number>
bool Holds(Number number) {
  if constexpr (std::is_same_v<Element, Number> || !std::numeric_limits<Element>::is_integer) {
    return true;
  } else if constexpr (std::is_same_v<Element, bool>) {
    return number == Number{0} || number == Number{1};
  } else {
    return std::in_range<Element>(number);
  }
}

// Stores numbers as `Element`s, the C++ type of the layout's datatype. InvalidArgument for another
// count than the shape's, or a number that the datatype cannot hold.
template <typename Element, typename Numbers>
absl::StatusOr<Tensor> StoreNumbers(TensorLayout layout, const Numbers& numbers) {
  if (static_cast<std::int64_t>(numbers.size()) != layout.count) {
    return WrongCount(layout, static_cast<std::int64_t>(numbers.size()));
  }
  std::string& raw = layout.tensor.raw;
  raw.resize(numbers.size() * sizeof(Element));
  char* out = raw.data();
  for (const auto number : numbers) {
    if (!Holds<Element>(number)) {
      return InvalidInput(layout.tensor.name,
                          absl::StrCat("the value ", number, " does not fit ",
                                       std::string(Name(layout.tensor.datatype))));
    }
    const auto element = static_cast<Element>(number);
    std::memcpy(out, &element, sizeof(Element));
    out += sizeof(Element);
  }
  return std::move(layout.tensor);
}

}  // namespace reprise::server::wire
