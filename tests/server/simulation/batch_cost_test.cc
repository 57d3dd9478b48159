#include "server/simulation/batch_cost.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::simulation {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<MeasuredBatch> Measured(const BatchCost& cost) {
  std::vector<MeasuredBatch> batches;
  for (const std::int64_t batch_size : {1, 4, 16}) {
    for (const std::int64_t seq_len : {16, 128, 512}) {
      const auto time = cost.Time(batch_size * seq_len, batch_size * seq_len * seq_len);
      batches.push_back({batch_size, seq_len, 1e-6 * static_cast<double>(time.count())});
    }
  }
  return batches;
}

TEST(BatchCost, IsTheSumOfItsParts) {
  const BatchCost cost{.fixed_us = 100, .per_token_us = 2, .per_square_ns = 10};
  EXPECT_EQ(cost.Time(30, 500), std::chrono::microseconds(100 + 60 + 5));
  EXPECT_EQ(BatchCost().Time(30, 500), std::chrono::nanoseconds(1));
}

TEST(BatchCost, FitFindsWhatTheMeasurementsCameFrom) {
  const BatchCost cost{.fixed_us = 300, .per_token_us = 40, .per_square_ns = 25};
  const CostFit fit = FitCost(Measured(cost));
  EXPECT_NEAR(fit.cost.fixed_us, 300, 3);
  EXPECT_NEAR(fit.cost.per_token_us, 40, 0.4);
  EXPECT_NEAR(fit.cost.per_square_ns, 25, 0.3);
  EXPECT_LT(fit.largest_error, 0.001);
}

TEST(BatchCost, FitHasNoNegativePart) {
  std::vector<MeasuredBatch> batches = {{1, 100, 10}, {1, 200, 19}, {1, 400, 36}};
  const CostFit fit = FitCost(batches);
  EXPECT_GE(fit.cost.fixed_us, 0);
  EXPECT_GE(fit.cost.per_token_us, 0);
  EXPECT_EQ(fit.cost.per_square_ns, 0);
  EXPECT_LT(fit.largest_error, 0.05);
}

TEST(BatchCost, OneMeasurementMeansTimePerToken) {
  const CostFit fit = FitCost({{4, 25, 10}});
  EXPECT_LT(fit.largest_error, 1e-9);
  EXPECT_NEAR(fit.cost.per_token_us, 100, 0.001);
  EXPECT_EQ(fit.cost.fixed_us, 0);
}

constexpr char kReport[] = R"({"machine": {}, "rows": [
  {"plan": "exact", "precision": "fp32", "strategy": "auto", "batch_size": 2, "seq_len": 16, "median_ms": 3},
  {"plan": "exact", "precision": "bf16", "strategy": "auto", "batch_size": 2, "seq_len": 16, "median_ms": 2},
  {"plan": "12x6", "precision": "bf16", "strategy": "auto", "batch_size": 2, "seq_len": 16, "median_ms": 1},
  {"plan": "12x6", "precision": "bf16", "strategy": "auto", "batch_size": 4, "seq_len": 16, "median_ms": 1.5}]})";

TEST(BenchReport, RowsAreChosenByPlanAndPrecision) {
  const auto batches = ReadBenchReport(kReport, "12x6", "");
  ASSERT_OK(batches);
  ASSERT_EQ(batches->size(), 2u);
  EXPECT_EQ((*batches)[1].batch_size, 4);
  EXPECT_EQ((*batches)[1].milliseconds, 1.5);
  EXPECT_EQ(ReadBenchReport(kReport, "exact", "fp32")->at(0).milliseconds, 3);
}

TEST(BenchReport, AnythingAmbiguousOrMissingSaysWhatThereIs) {
  EXPECT_THAT(ReadBenchReport(kReport, "", ""),
              StatusIs(kInvalid, AllOf(HasSubstr("several fit"), HasSubstr("12x6 in bf16"))));
  EXPECT_THAT(ReadBenchReport(kReport, "skip-2", ""), StatusIs(kInvalid, HasSubstr("none fits")));
}

TEST(BenchReport, OtherFilesAreRefused) {
  for (const char* text :
       {"no json", "{}", "[]", R"({"rows": 3})", R"({"rows": [{"plan": "exact"}]})",
        R"({"rows": [{"plan": "exact", "precision": "fp32", "strategy": "auto", "batch_size": 0,
            "seq_len": 16, "median_ms": 3}]})",
        R"({"rows": []})"}) {
    EXPECT_EQ(ReadBenchReport(text, "", "").status().code(), kInvalid) << text;
  }
}

}  // namespace
}  // namespace reprise::server::simulation
