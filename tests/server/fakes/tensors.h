// Tensors as a protocol would hand them over, and their values back.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "server/request/tensor.h"

namespace reprise::server::testing {

inline Tensor Int64Tensor(std::string name, std::vector<std::int64_t> shape,
                          const std::vector<std::int64_t>& values) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.datatype = DataType::kInt64;
  tensor.shape = std::move(shape);
  tensor.raw.assign(reinterpret_cast<const char*>(values.data()), values.size() * 8);
  return tensor;
}

inline Tensor TextTensor(std::vector<std::int64_t> shape, std::vector<std::string> texts) {
  Tensor tensor;
  tensor.name = "text";
  tensor.datatype = DataType::kBytes;
  tensor.shape = std::move(shape);
  tensor.elements = std::move(texts);
  return tensor;
}

inline std::vector<float> Floats(const Tensor& tensor) {
  std::vector<float> values(tensor.raw.size() / sizeof(float));
  std::memcpy(values.data(), tensor.raw.data(), tensor.raw.size());
  return values;
}

}  // namespace reprise::server::testing
