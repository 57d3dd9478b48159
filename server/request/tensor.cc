#include "server/request/tensor.h"

#include <array>
#include <utility>

namespace reprise::server {
namespace {
struct DataTypeFacts {
  std::string_view name;
  std::size_t size;
};
constexpr std::array<DataTypeFacts, 14> kFacts = {{{"BOOL", 1},
                                                   {"INT8", 1},
                                                   {"INT16", 2},
                                                   {"INT32", 4},
                                                   {"INT64", 8},
                                                   {"UINT8", 1},
                                                   {"UINT16", 2},
                                                   {"UINT32", 4},
                                                   {"UINT64", 8},
                                                   {"FP16", 2},
                                                   {"BF16", 2},
                                                   {"FP32", 4},
                                                   {"FP64", 8},
                                                   {"BYTES", 0}}};
}  // namespace

std::string_view Name(DataType datatype) { return kFacts[static_cast<std::size_t>(datatype)].name; }

std::optional<DataType> ParseDataType(std::string_view name) {
  for (std::size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

std::size_t SizeOf(DataType datatype) { return kFacts[static_cast<std::size_t>(datatype)].size; }

}  // namespace reprise::server
