// A borrowed row-major matrix whose rows may be further apart than they are long.
#pragma once

#include <cstdint>
#include <type_traits>

namespace reprise::engine {

// Does not own `data`, which must outlive the view. Element (row, column) lives at data[row *
// stride + column].
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;  // elements from one row to the next, >= columns

  T* row(std::int64_t index) const { return data + index * stride; }
  operator MatrixView<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, columns, stride};
  }
};

}  // namespace reprise::engine
