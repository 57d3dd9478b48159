#include "engine/memory/arena_plan.h"

#include <algorithm>
#include <numeric>

#include "engine/memory/buffer.h"

namespace reprise::engine::memory {
namespace {

bool Overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

ArenaPlan PlanArena(const std::vector<Lifetime>& lifetimes) {
  std::vector<int> order(lifetimes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  ArenaPlan plan;
  plan.offsets.resize(lifetimes.size());
  std::vector<int> placed;  // ordered by offset
  for (const int index : order) {
    const std::int64_t bytes = AlignUp(lifetimes[index].bytes, kAlignment);
    std::int64_t offset = 0;
    for (const int other : placed) {
      if (!Overlap(lifetimes[index], lifetimes[other])) continue;
      if (offset + bytes <= plan.offsets[other]) break;  // fits in the gap before `other`
      offset = std::max(offset, plan.offsets[other] + AlignUp(lifetimes[other].bytes, kAlignment));
    }
    plan.offsets[index] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                   [&](int a, int b) { return plan.offsets[a] < plan.offsets[b]; }),
                  index);
  }
  return plan;
}

}  // namespace reprise::engine::memory
