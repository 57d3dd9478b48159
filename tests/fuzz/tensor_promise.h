// What server/request/tensor.h promises to every room behind the codecs.
#pragma once

#include <cstdint>

#include "engine/check.h"
#include "server/request/tensor.h"

namespace reprise::fuzz {

inline void CheckTensor(const server::Tensor& tensor) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t dim : tensor.shape) {
    REPRISE_CHECK(dim >= 0);
    if (dim == 0) empty = true;
    if (dim != 0) REPRISE_CHECK(!__builtin_mul_overflow(count, dim, &count));
  }
  if (empty) count = 0;
  if (tensor.datatype == server::DataType::kBytes) {
    REPRISE_CHECK(tensor.raw.empty());
    REPRISE_CHECK(static_cast<std::int64_t>(tensor.elements.size()) == count);
  } else {
    REPRISE_CHECK(tensor.elements.empty());
    const auto element_bytes = static_cast<std::int64_t>(server::SizeOf(tensor.datatype));
    REPRISE_CHECK(static_cast<std::int64_t>(tensor.raw.size()) == count * element_bytes);
  }
}

}  // namespace reprise::fuzz
