#include "server/commands/bench_timing.h"

#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/commands/bench_report.h"
#include "tests/server/commands/tiny_model.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

TEST(Median, IsTheMiddleOrTheMeanOfTheMiddleTwo) {
  EXPECT_EQ(Median({3}), 3);
  EXPECT_EQ(Median({9, 1, 5}), 5);
  EXPECT_EQ(Median({4, 1, 2, 100}), 3);
}

class TimeModelsTest : public ::testing::Test {
 protected:
  TimeModelsTest() {
    BenchModelOptions models;
    models.config_file = folder_.Write("config.json", testing::kTinyConfig);
    models.plans = {"exact", "4x2"};
    models.precisions = {engine::Precision::kF32};
    auto loaded = LoadBenchModels(models, [](int, int) {});
    EXPECT_OK(loaded);
    models_ = *std::move(loaded);
    options_.repetitions = 3;
    options_.warmup = 1;
    options_.batch_sizes = {2};
    options_.seq_lens = {16};
  }

  std::vector<BenchRow> Time() {
    auto rows = TimeModels(models_, options_, [this](int done, int) { progress_.push_back(done); });
    EXPECT_OK(rows);
    return rows.ok() ? *std::move(rows) : std::vector<BenchRow>();
  }

  testing::TemporaryDirectory folder_;
  std::vector<BenchModel> models_;
  BenchTimingOptions options_;
  std::vector<int> progress_;
};

TEST_F(TimeModelsTest, ARowForEachModelBatchSizeAndLength) {
  options_.batch_sizes = {1, 2};
  options_.seq_lens = {8, 16};
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 8u);
  EXPECT_EQ(rows[0].plan, "exact");
  EXPECT_EQ(rows[1].plan, "4x2");
  EXPECT_EQ(rows[1].batch_size, 1);
  EXPECT_EQ(rows[1].seq_len, 8);
  EXPECT_EQ(rows[7].batch_size, 2);
  EXPECT_EQ(rows[7].seq_len, 16);
  EXPECT_EQ(progress_.back(), 16);  // 4 cases of 1 + 3 rounds
}

TEST_F(TimeModelsTest, ARaggedBatchInPlaceOfSizesAndLengths) {
  options_.lengths = {5, 20, 1};
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].batch_size, 3);
  EXPECT_EQ(rows[0].seq_len, 20);
  EXPECT_EQ(rows[0].tokens, 26);
  EXPECT_EQ(ToJson(rows[0])["tokens"], 26);
}

TEST_F(TimeModelsTest, ExecutorsSideBySideShareTheTime) {
  options_.executors = 2;
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].executors, 2);
  EXPECT_NEAR(rows[0].tokens_per_second, 1e3 * 2 * 32 / rows[0].median_ms, 1e-6);
}

TEST_F(TimeModelsTest, SavesTheHiddenStateOfTheFirstModel) {
  options_.input_ids_file = folder_.Write("ids.json", "[[1, 2, 3], [4, 5]]");
  const std::string path = folder_ / "hidden.f32";
  ASSERT_OK(SaveOutputs(models_, options_, path));
  EXPECT_EQ(std::filesystem::file_size(path), 5 * 64 * sizeof(float));
  EXPECT_THAT(SaveOutputs(models_, options_, "/nowhere/hidden.f32"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/nowhere/hidden.f32")));
}

TEST_F(TimeModelsTest, TimesAreMeasuredAndComparedWithExact) {
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 2u);
  for (const BenchRow& row : rows) {
    EXPECT_GT(row.min_ms, 0);
    EXPECT_LE(row.min_ms, row.median_ms);
    EXPECT_EQ(row.repetitions, 3);
    EXPECT_DOUBLE_EQ(row.tokens_per_second, 2 * 16 * 1e3 / row.median_ms);
  }
  EXPECT_EQ(rows[0].ratio_to_exact, 1);
  EXPECT_DOUBLE_EQ(rows[1].ratio_to_exact, rows[1].median_ms / rows[0].median_ms);
}

TEST_F(TimeModelsTest, ScoresOfAReusePlanAddUpToThoseOfTheExactOne) {
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].scores.computed, 4 * 4 * 2 * 16 * 16);  // layers x heads x batch x length^2
  EXPECT_EQ(rows[1].scores.computed, 2 * 4 * 2 * 16 * 16);
  EXPECT_EQ(rows[1].scores.computed + rows[1].scores.reused + rows[1].scores.recomputed,
            rows[0].scores.computed);
  EXPECT_LT(rows[1].report.multiply_adds, rows[1].report.multiply_adds_exact);
}

TEST_F(TimeModelsTest, EachStrategyHasARowWhereThereIsReuse) {
  options_.strategies = {engine::ReuseStrategy::kStored, engine::ReuseStrategy::kFused};
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].plan, "exact");
  EXPECT_GT(rows[1].scores.reused, 0);
  EXPECT_EQ(rows[1].scores.recomputed, 0);
  EXPECT_EQ(rows[2].scores.reused, 0);
  EXPECT_GT(rows[2].scores.recomputed, 0);
}

TEST_F(TimeModelsTest, WithoutAnExactRowThereIsNoRatio) {
  models_.erase(models_.begin());
  const std::vector<BenchRow> rows = Time();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].ratio_to_exact, 0);
  EXPECT_TRUE(ToJson(rows[0])["ratio_to_exact"].is_null());
}

TEST_F(TimeModelsTest, ALengthBeyondTheModelsPositionsIsInvalid) {
  options_.seq_lens = {65};
  EXPECT_THAT(TimeModels(models_, options_, [](int, int) {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 64")));
}

TEST_F(TimeModelsTest, JsonRowsHaveTheKeysReadersRelyOn) {
  const auto row = ToJson(Time().back());
  for (const char* key : {"plan", "batch_size", "seq_len", "precision", "threads", "min_ms",
                          "median_ms", "ratio_to_exact", "tokens_per_second", "scores_computed",
                          "scores_reused", "scores_recomputed", "multiply_adds", "parameter_bytes",
                          "arena_peak_bytes", "score_cache_peak_bytes"}) {
    EXPECT_TRUE(row.contains(key)) << key;
  }
  EXPECT_EQ(row["plan"], "4x2");
  EXPECT_EQ(row["precision"], "fp32");
  EXPECT_GT(row["arena_peak_bytes"], 0);
  EXPECT_EQ(row["phases_ms"].size(), 6u);
}

TEST_F(TimeModelsTest, TheTableHasALineForEachRow) {
  const std::vector<BenchRow> rows = Time();
  EXPECT_THAT(DrawBenchTable(rows), HasSubstr("\n4x2 "));
  EXPECT_THAT(DrawPhaseTable(rows), HasSubstr("\nexact "));
}

}  // namespace
}  // namespace reprise::server::commands
