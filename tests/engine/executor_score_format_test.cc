// What the format of stored scores costs in memory; executor_reference_test says what it costs in
// accuracy.
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/executor.h"
#include "engine/reuse/score_cache.h"
#include "gtest/gtest.h"
#include "tests/engine/cpu_precisions.h"
#include "tests/engine/tiny_model.h"
#include "tests/status_matchers.h"

namespace reprise::engine {
namespace {

constexpr std::int32_t kTokens = 12;

// Bytes that the scores of one text of kTokens took.
std::int64_t StoredBytes(std::shared_ptr<const Model> model, ScoreFormat format) {
  const auto executor = Executor::Create(
      std::move(model), {.strategy = ReuseStrategy::kStored, .score_format = format});
  EXPECT_OK(executor);
  if (!executor.ok()) return -1;
  const std::vector<std::int32_t> cu_seqlens = {0, kTokens}, ids(kTokens, 7);
  Outputs outputs;
  EXPECT_OK((*executor)->Run({cu_seqlens, ids, {}, {}}, {.last_hidden_state = true}, &outputs));
  return (*executor)->report().score_cache_live_bytes;
}

std::int64_t ExpectedBytes(const Model& model, DType format) {
  return reuse::ScoreCache::SequenceBytes(kTokens, model.plan().num_score_slots(), format);
}

TEST(ExecutorScoreFormatTest, ScoresAreStoredAsAskedForInAnyPrecision) {
  for (const Precision precision : PrecisionsOfThisCpu()) {
    const auto model = TinyModel(precision, TinyConfig());
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(StoredBytes(model, ScoreFormat::kF32), ExpectedBytes(*model, DType::kF32));
    EXPECT_EQ(StoredBytes(model, ScoreFormat::kBF16), ExpectedBytes(*model, DType::kBF16));
  }
}

TEST(ExecutorScoreFormatTest, AutoStoresScoresAsTheModelComputes) {
  for (const Precision precision : PrecisionsOfThisCpu()) {
    const auto model = TinyModel(precision, TinyConfig());
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(StoredBytes(model, ScoreFormat::kAuto),
              ExpectedBytes(*model, precision == Precision::kBF16 ? DType::kBF16 : DType::kF32));
  }
}

}  // namespace
}  // namespace reprise::engine
