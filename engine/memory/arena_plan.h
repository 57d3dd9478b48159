// Places buffers with known lifetimes in one block, so that buffers that never live together share
// bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace reprise::engine::memory {

// A buffer that is live from step `first` to step `last`, both included.
struct Lifetime {
  std::int64_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct ArenaPlan {
  std::vector<std::int64_t> offsets;  // one per lifetime, multiples of kAlignment
  std::int64_t bytes = 0;             // size of the block
};

// Largest buffer first, each at the lowest offset where no buffer of an overlapping lifetime lies.
// At worst the sum of all sizes; never below the largest sum of buffers that live together.
ArenaPlan PlanArena(const std::vector<Lifetime>& lifetimes);

}  // namespace reprise::engine::memory
