#include "server/repository/executor_sizing.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::server::repository {
namespace {

engine::architectures::BertConfig Config(int longest, int longest_text) {
  engine::architectures::BertConfig config;
  config.max_position_embeddings = longest;
  config.max_text_tokens = longest_text;
  return config;
}

TEST(ExecutorSizing, TokensDefaultTo4096OrOneLongestSequence) {
  EXPECT_EQ(SizeLimits({}, Config(512, 256), 2).max_batch_tokens, 4096);
  EXPECT_EQ(SizeLimits({}, Config(8192, 512), 2).max_batch_tokens, 8192);
}

TEST(ExecutorSizing, SequencesAreNoLongerThanABatch) {
  ModelServingOptions options;
  options.batching.max_batch_tokens = 100;
  const ModelLimits limits = SizeLimits(options, Config(512, 256), 2);
  EXPECT_EQ(limits.max_sequence_tokens, 100);
  EXPECT_EQ(limits.max_text_tokens, 100);
  EXPECT_EQ(SizeLimits({}, Config(512, 256), 2).max_sequence_tokens, 512);
  EXPECT_EQ(SizeLimits({}, Config(512, 256), 2).max_text_tokens, 256);
}

TEST(ExecutorSizing, TheQueueHoldsAtLeastOneBatch) {
  ModelServingOptions options;
  options.batching.max_queue_tokens = 100;
  EXPECT_EQ(SizeLimits(options, Config(512, 256), 2).max_queue_tokens, 4096);
}

TEST(ExecutorSizing, ExecutorsShareTheCores) {
  ModelServingOptions options;
  EXPECT_EQ(SizeLimits(options, Config(512, 512), 8).threads, 8);
  options.executors = 3;
  EXPECT_EQ(SizeLimits(options, Config(512, 512), 8).threads, 2);
  options.executors = 16;
  EXPECT_EQ(SizeLimits(options, Config(512, 512), 8).threads, 1);
  options.threads = 5;
  EXPECT_EQ(SizeLimits(options, Config(512, 512), 8).threads, 5);
}

TEST(ExecutorSizing, ExecutorsHoldTheLargestBatchAndNoMore) {
  ModelServingOptions options;
  options.batching.max_batch_size = 300;
  options.batching.max_batch_tokens = 200;
  options.strategy = engine::ReuseStrategy::kFused;
  options.score_cache_bytes = 12345;
  const engine::ExecutorOptions executor =
      SizeExecutor(options, SizeLimits(options, Config(512, 512), 2));
  EXPECT_EQ(executor.max_batch_tokens, 200);
  EXPECT_EQ(executor.max_batch_sequences, 200);
  EXPECT_EQ(executor.threads, 2);
  EXPECT_EQ(executor.score_cache_bytes, 12345);
  EXPECT_EQ(executor.strategy, engine::ReuseStrategy::kFused);
}

}  // namespace
}  // namespace reprise::server::repository
