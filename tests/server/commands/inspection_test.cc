#include "server/commands/inspection.h"

#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/commands/bench_models.h"
#include "tests/server/commands/tiny_model.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class InspectTest : public ::testing::Test {
 protected:
  InspectTest() {
    std::string config = testing::kTinyConfig;
    config.insert(config.rfind('}'), R"(, "attention_reuse": {"heads": 4, "layers": 2})");
    BenchModelOptions options;
    options.config_file = folder_.Write("config.json", config);
    options.save_weights = folder_ / "model";
    EXPECT_OK(LoadBenchModels(options, [](int, int) {}));
  }

  testing::TemporaryDirectory folder_;
};

TEST_F(InspectTest, TellsTheModelsShapePlanAndOutputs) {
  const auto inspection = Inspect(folder_ / "model", {}, /*threads=*/2);
  ASSERT_OK(inspection);
  EXPECT_EQ(inspection->config.num_layers, 4);
  EXPECT_EQ(inspection->config.plan.name(), "4x2");
  EXPECT_THAT(OutputNames(*inspection), ElementsAre("last_hidden_state", "pooler_output"));
  EXPECT_FALSE(inspection->has_tokenizer);
}

TEST_F(InspectTest, PredictsCostForEachLength) {
  const auto inspection = Inspect(folder_ / "model", {16, 64}, /*threads=*/2);
  ASSERT_OK(inspection);
  ASSERT_EQ(inspection->lengths.size(), 2u);
  const auto& savings = inspection->lengths[0].savings;
  EXPECT_EQ(savings.scores.computed, 2 * 4 * 16 * 16);
  EXPECT_EQ(savings.scores.reused, 2 * 4 * 16 * 16);
  EXPECT_LT(savings.multiply_adds_ratio(), 1);
}

TEST_F(InspectTest, WithoutLengthsTheModelsLongestIsShown) {
  const auto inspection = Inspect(folder_ / "model", {}, /*threads=*/2);
  ASSERT_OK(inspection);
  ASSERT_EQ(inspection->lengths.size(), 1u);
  EXPECT_EQ(inspection->lengths[0].seq_len, 64);
}

TEST_F(InspectTest, ALengthBeyondThePositionsIsInvalid) {
  EXPECT_THAT(Inspect(folder_ / "model", {65}, /*threads=*/2),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 64")));
}

TEST_F(InspectTest, AFolderThatIsNoCheckpointIsNamed) {
  EXPECT_THAT(Inspect(folder_ / "nothing", {}, /*threads=*/2),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST_F(InspectTest, TheJsonHoldsPlanAndPrediction) {
  const auto inspection = Inspect(folder_ / "model", {16}, /*threads=*/2);
  ASSERT_OK(inspection);
  const auto json = ToJson(*inspection);
  EXPECT_EQ(json["reuse_plan"], "4x2");
  EXPECT_EQ(json["lengths"][0]["seq_len"], 16);
  EXPECT_LT(json["parameters"], json["parameters_exact"]);
}

TEST_F(InspectTest, ThePageDrawsTheReuseMap) {
  const auto inspection = Inspect(folder_ / "model", {16}, /*threads=*/2);
  ASSERT_OK(inspection);
  const std::string page = ToText(*inspection);
  EXPECT_THAT(page, HasSubstr("4 layers, 4 heads of 16"));
  EXPECT_THAT(page, HasSubstr("1.4"));  // head 4 of layer 1 as a source
}

TEST_F(InspectTest, PredictsWhatEachStrategyCosts) {
  const auto inspection = Inspect(folder_ / "model", {16, 64}, /*threads=*/2);
  ASSERT_OK(inspection);
  ASSERT_EQ(inspection->strategies.size(), 2u);
  const StrategyForecast& forecast = inspection->strategies[1];
  EXPECT_EQ(forecast.seq_len, 64);
  EXPECT_GT(forecast.exact_ms, 0);
  ASSERT_EQ(forecast.milliseconds.size(), 3u);
  ASSERT_EQ(forecast.chosen.size(), 1u);  // groups that reuse
  // The choice is within the noise of the cheapest.
  EXPECT_LE(forecast.auto_ms,
            1.05 * *std::min_element(forecast.milliseconds.begin(), forecast.milliseconds.end()));
  EXPECT_THAT(ToText(*inspection), HasSubstr("Attention of one sequence by strategy"));
  const nlohmann::ordered_json json = ToJson(*inspection);
  EXPECT_EQ(json["threads"], 2);
  for (const char* key : {"exact_ms", "stored_ms", "recompute_ms", "fused_ms", "auto_ms"}) {
    EXPECT_GT(json["strategies"][1][key], 0) << key;
  }
  EXPECT_EQ(json["strategies"][1]["chosen"].size(), 1u);
}

}  // namespace
}  // namespace reprise::server::commands
