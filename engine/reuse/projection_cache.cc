#include "engine/reuse/projection_cache.h"

#include "engine/check.h"

namespace reprise::engine::reuse {

absl::StatusOr<ProjectionCache> ProjectionCache::Create(const ProjectionCacheOptions& options) {
  ProjectionCache cache;
  cache.max_rows_ = options.max_rows;
  cache.head_dim_ = options.head_dim;
  cache.row_bytes_ = options.head_dim * static_cast<std::int64_t>(SizeOf(options.precision));
  REPRISE_ASSIGN_OR_RETURN(
      cache.buffer_,
      memory::Buffer::Allocate(memory::Purpose::kActivations,
                               2 * options.num_slots * options.max_rows * cache.row_bytes_));
  REPRISE_ASSIGN_OR_RETURN(cache.statistics_,
                           memory::Buffer::Allocate(memory::Purpose::kActivations,
                                                    2 * options.num_slots * options.max_rows *
                                                        static_cast<std::int64_t>(sizeof(float))));
  return cache;
}

}  // namespace reprise::engine::reuse
