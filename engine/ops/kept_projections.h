// Keeps a head's queries and keys, from which later layers rebuild its scores, and turns them into
// the task of a head that does.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/ops/attention.h"
#include "engine/reuse/projection_cache.h"

namespace reprise::engine::ops {

// Before ComputeHead: copies the queries and keys of the task's rows, the first of which is row
// `row + task->first_row` of the cache, and has its row statistics kept too.
inline void KeepProjections(const reuse::ProjectionCache& cache, int slot, std::int64_t row,
                            AttentionTask* task) {
  const std::int64_t bytes = cache.row_bytes();
  const std::int64_t element = bytes / cache.head_dim();
  const auto copy = [&](const HeadView& from, std::int64_t r, std::byte* to) {
    std::memcpy(to, static_cast<const std::byte*>(from.data) + r * from.row_stride * element,
                bytes);
  };
  for (std::int64_t r = task->first_row; r < task->first_row + task->rows; ++r) {
    copy(task->query, r, cache.query(slot, row + r));
    copy(task->key, r, cache.key(slot, row + r));
  }
  task->scores = cache.row_statistics(slot, row);
}

// Before RecomputeHead, or ComputeHead with the statistics left alone.
inline void TakeProjections(const reuse::ProjectionCache& cache, int slot, std::int64_t row,
                            AttentionTask* task) {
  task->query = {cache.query(slot, row), cache.head_dim()};
  task->key = {cache.key(slot, row), cache.head_dim()};
}

}  // namespace reprise::engine::ops
