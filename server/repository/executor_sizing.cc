#include "server/repository/executor_sizing.h"

#include <algorithm>

namespace reprise::server::repository {
namespace {

constexpr std::int64_t kDefaultBatchTokens = 4096;

}  // namespace

ModelLimits SizeLimits(const ModelServingOptions& options,
                       const engine::architectures::BertConfig& config, int cores) {
  const batching::BatchingOptions& batching = options.batching;
  const std::int64_t longest = config.max_position_embeddings;
  ModelLimits limits;
  limits.max_batch_size = batching.max_batch_size;
  limits.max_batch_tokens = batching.max_batch_tokens > 0 ? batching.max_batch_tokens
                                                          : std::max(kDefaultBatchTokens, longest);
  limits.max_batch_score_bytes = batching.max_batch_score_bytes;
  limits.max_sequence_tokens = std::min(longest, limits.max_batch_tokens);
  limits.max_text_tokens =
      std::min<std::int64_t>(config.max_text_tokens, limits.max_sequence_tokens);
  limits.max_queue_requests = batching.max_queue_requests;
  limits.max_queue_rows = batching.max_queue_rows;
  limits.max_queue_tokens = std::max(batching.max_queue_tokens, limits.max_batch_tokens);
  limits.max_queue_bytes = batching.max_queue_bytes;
  limits.max_queue_score_bytes = batching.max_queue_score_bytes;
  limits.max_queue_delay_us = batching.max_queue_delay_us;
  limits.queue_timeout_us = std::chrono::microseconds(batching.queue_timeout).count();
  limits.priority_levels = batching.priority_levels;
  limits.default_priority = batching.default_priority;
  limits.executors = options.executors;
  limits.threads = options.threads > 0 ? options.threads : std::max(1, cores / options.executors);
  return limits;
}

engine::ExecutorOptions SizeExecutor(const ModelServingOptions& options,
                                     const ModelLimits& limits) {
  engine::ExecutorOptions executor;
  executor.threads = limits.threads;
  executor.max_batch_tokens = limits.max_batch_tokens;
  // More sequences than tokens cannot be.
  executor.max_batch_sequences = std::min(limits.max_batch_size, limits.max_batch_tokens);
  executor.score_cache_bytes = options.score_cache_bytes;
  executor.strategy = options.strategy;
  executor.score_format = options.score_format;
  executor.batch_invariant = options.batch_invariant;
  executor.pin_threads = options.pin_threads;
  return executor;
}

std::int64_t ScoreBytesPerSquare(const engine::reuse::ReusePlan& plan, engine::Precision precision,
                                 engine::ScoreFormat format) {
  return std::int64_t{plan.peak_live_matrices()} *
         static_cast<std::int64_t>(engine::SizeOf(engine::ResolveScoreFormat(format, precision)));
}

}  // namespace reprise::server::repository
