#include "engine/weights/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "engine/weights/tensor_spec.h"

namespace reprise::engine::weights {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
// The format allows 100 MB. A BERT's header has some 20 KB, one of 100,000 tensors some 10 MB; the
// parsed form takes about ten times the room, so the bound is ours.
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{16} << 20;

struct ElementSize {
  std::string_view dtype;
  std::uint64_t bytes;
};
constexpr ElementSize kElementSizes[] = {
    {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
    {"U64", 8}, {"I32", 4}, {"U32", 4},  {"I16", 2},     {"U16", 2},
    {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
};

std::optional<std::uint64_t> BytesPerElement(std::string_view dtype) {
  for (const ElementSize& known : kElementSizes) {
    if (known.dtype == dtype) return known.bytes;
  }
  return std::nullopt;
}

// Builds the messages of one file.
struct Complaint {
  const std::string& path;
  template <typename... Parts>
  absl::Status operator()(const Parts&... parts) const {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is not a safetensors file that ", "can be read: ", parts...));
  }
};

absl::StatusOr<Json> ParseHeaderJson(std::span<const std::byte> file, const std::string& path) {
  const Complaint complain{path};
  if (file.size() < kLengthBytes) {
    return complain("it has ", file.size(), " bytes; expected at least ", kLengthBytes);
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  const std::uint64_t available = file.size() - kLengthBytes;
  if (length > available) {
    return complain("it announces a header of ", length, " bytes, but only ", available,
                    " follow; the file may be cut short or of another format");
  }
  if (length > kMaxHeaderBytes) {
    return complain("its header has ", length, " bytes; expected at most ", kMaxHeaderBytes);
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (text.empty() || text.front() != '{') {
    return complain("its header does not start with '{'");
  }
  REPRISE_ASSIGN_OR_RETURN(Json header,
                           ParseJson(text, absl::StrCat("the header of '", path, "'")));
  return header;  // an object, since it starts with '{'
}

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(const Json& value,
                                                                 const Complaint& complain) {
  if (!value.is_object()) {
    return complain("__metadata__ is ", JsonText(value), "; expected an object");
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, entry] : value.items()) {
    if (!entry.is_string()) {
      return complain("__metadata__ ", JsonText(key), " is ", JsonText(entry),
                      "; expected a string");
    }
    metadata[key] = entry.get<std::string>();
  }
  return metadata;
}

// The dimensions and their product.
absl::StatusOr<std::pair<std::vector<std::int64_t>, std::uint64_t>> ParseShape(
    const Json& value, const std::string& tensor, const Complaint& complain) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (!value.is_array()) {
    return complain(tensor, " has shape ", JsonText(value), "; expected a list of sizes");
  }
  std::vector<std::int64_t> shape;
  std::uint64_t count = 1;
  for (const Json& size : value) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > kMax) {
      return complain(tensor, " has shape ", JsonText(value),
                      "; expected sizes from 0 to 2^63 - 1");
    }
    const std::uint64_t extent = size.get<std::uint64_t>();
    if (extent != 0 && count > kMax / extent) {
      return complain(tensor, " has shape ", JsonText(value), ", whose product overflows 63 bits");
    }
    count *= extent;
    shape.push_back(static_cast<std::int64_t>(extent));
  }
  return std::pair(std::move(shape), count);
}

absl::StatusOr<std::pair<std::uint64_t, std::uint64_t>> ParseOffsets(const Json& value,
                                                                     const std::string& tensor,
                                                                     std::uint64_t data_bytes,
                                                                     const Complaint& complain) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
      !value[1].is_number_unsigned()) {
    return complain(tensor, " has data_offsets ", JsonText(value), "; expected [begin, end]");
  }
  const std::pair offsets(value[0].get<std::uint64_t>(), value[1].get<std::uint64_t>());
  if (offsets.first > offsets.second || offsets.second > data_bytes) {
    return complain(tensor, " has data_offsets ", JsonText(value),
                    "; expected 0 <= begin <= end <= ", data_bytes, ", the bytes after the header");
  }
  return offsets;
}

absl::StatusOr<StoredTensor> ParseTensor(const Json& value, const std::string& tensor,
                                         std::uint64_t data_bytes, const Complaint& complain) {
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!value.is_object() || !value.contains(key)) {
      return complain(tensor, " is ", JsonText(value),
                      "; expected an object with dtype, shape and data_offsets");
    }
  }
  const Json& dtype = value["dtype"];
  if (!dtype.is_string()) {
    return complain(tensor, " has dtype ", JsonText(dtype), "; expected a string");
  }
  REPRISE_ASSIGN_OR_RETURN(auto shape, ParseShape(value["shape"], tensor, complain));
  REPRISE_ASSIGN_OR_RETURN(const auto offsets,
                           ParseOffsets(value["data_offsets"], tensor, data_bytes, complain));
  const std::uint64_t bytes = offsets.second - offsets.first;
  const std::optional<std::uint64_t> element = BytesPerElement(dtype.get<std::string>());
  // Divide instead of multiplying: the product may overflow.
  if (element.has_value() && (bytes % *element != 0 || bytes / *element != shape.second)) {
    return complain(tensor, " of type ", dtype.get<std::string>(), " and shape ",
                    ShapeText(shape.first), " has ", bytes, " bytes, which do not fit");
  }
  return StoredTensor{dtype.get<std::string>(), std::move(shape.first), offsets.first,
                      offsets.second};
}

// The data section must be covered exactly once.
absl::Status CheckCoverage(const std::map<std::string, StoredTensor>& tensors,
                           std::uint64_t data_bytes, const Complaint& complain) {
  std::vector<std::pair<const std::string*, const StoredTensor*>> order;
  order.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) order.emplace_back(&name, &tensor);
  std::ranges::sort(order, {}, [](const auto& entry) {
    return std::pair(entry.second->begin, entry.second->end);
  });
  std::uint64_t covered = 0;
  for (const auto& [name, tensor] : order) {
    if (tensor->begin != covered) {
      return complain("tensor ", JsonText(*name), " starts at byte ", tensor->begin,
                      " of the data, where the tensors before it end at ", covered,
                      tensor->begin < covered ? ": they overlap" : ": there is a gap");
    }
    covered = tensor->end;
  }
  if (covered != data_bytes) {
    return complain("its tensors end at byte ", covered, " of the data, but ", data_bytes,
                    " bytes follow the header");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> file,
                                                         const std::string& path) {
  const Complaint complain{path};
  REPRISE_ASSIGN_OR_RETURN(const Json json, ParseHeaderJson(file, path));
  SafetensorsHeader header;
  std::memcpy(&header.data_begin, file.data(), kLengthBytes);
  header.data_begin += kLengthBytes;
  const std::uint64_t data_bytes = file.size() - header.data_begin;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      REPRISE_ASSIGN_OR_RETURN(header.metadata, ParseMetadata(value, complain));
      continue;
    }
    const std::string tensor = absl::StrCat("tensor ", JsonText(name));
    REPRISE_ASSIGN_OR_RETURN(header.tensors[name],
                             ParseTensor(value, tensor, data_bytes, complain));
  }
  REPRISE_RETURN_IF_ERROR(CheckCoverage(header.tensors, data_bytes, complain));
  return header;
}

}  // namespace reprise::engine::weights
