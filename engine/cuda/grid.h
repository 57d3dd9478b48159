// How many blocks a kernel is started with.
#pragma once

#include <cstdint>

namespace reprise::engine::cuda {

// x may be large, y at most 65535.
struct Grid {
  std::int64_t x = 1;
  std::int64_t y = 1;
};

inline constexpr int kWarpSize = 32;

}  // namespace reprise::engine::cuda
