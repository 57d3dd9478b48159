// Zero-filled floats that begin at a cache line, as the engine's buffers do.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace reprise::testing {

class AlignedFloats {
 public:
  explicit AlignedFloats(std::size_t size)
      : data_(static_cast<float*>(std::aligned_alloc(64, (size * sizeof(float) + 63) / 64 * 64))) {
    std::memset(data_.get(), 0, size * sizeof(float));
  }
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float[], Free> data_;
};

}  // namespace reprise::testing
