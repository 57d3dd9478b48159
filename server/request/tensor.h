// A named tensor as a client sends or receives it, whatever the protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::server {

// The datatypes of the Open Inference Protocol.
enum class DataType : std::uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
  kBytes
};

// Upper-case wire name, for example "INT64".
std::string_view Name(DataType datatype);
std::optional<DataType> ParseDataType(std::string_view name);
// Bytes per element; 0 for kBytes, whose elements differ in size.
std::size_t SizeOf(DataType datatype);

// Numeric values are little-endian, row-major and dense in `raw`: exactly product(shape) *
// SizeOf(datatype) bytes. kBytes elements are in `elements`: exactly product(shape) of them.
// Whoever fills a Tensor has checked this.
struct Tensor {
  std::string name;
  DataType datatype = DataType::kFp32;
  std::vector<std::int64_t> shape;
  std::string raw;
  std::vector<std::string> elements;
};

}  // namespace reprise::server
