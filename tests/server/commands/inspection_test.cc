#include "server/commands/inspection.h"

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
  const auto inspection = Inspect(folder_ / "model", {});
  ASSERT_OK(inspection);
  EXPECT_EQ(inspection->config.num_layers, 4);
  EXPECT_EQ(inspection->config.plan.name(), "4x2");
  EXPECT_THAT(OutputNames(*inspection), ElementsAre("last_hidden_state", "pooler_output"));
  EXPECT_FALSE(inspection->has_tokenizer);
}

TEST_F(InspectTest, PredictsCostForEachLength) {
  const auto inspection = Inspect(folder_ / "model", {16, 64});
  ASSERT_OK(inspection);
  ASSERT_EQ(inspection->lengths.size(), 2u);
  const auto& savings = inspection->lengths[0].savings;
  EXPECT_EQ(savings.scores.computed, 2 * 4 * 16 * 16);
  EXPECT_EQ(savings.scores.reused, 2 * 4 * 16 * 16);
  EXPECT_LT(savings.multiply_adds_ratio(), 1);
}

TEST_F(InspectTest, WithoutLengthsTheModelsLongestIsShown) {
  const auto inspection = Inspect(folder_ / "model", {});
  ASSERT_OK(inspection);
  ASSERT_EQ(inspection->lengths.size(), 1u);
  EXPECT_EQ(inspection->lengths[0].seq_len, 64);
}

TEST_F(InspectTest, ALengthBeyondThePositionsIsInvalid) {
  EXPECT_THAT(Inspect(folder_ / "model", {65}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 64")));
}

TEST_F(InspectTest, AFolderThatIsNoCheckpointIsNamed) {
  EXPECT_THAT(Inspect(folder_ / "nothing", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST_F(InspectTest, TheJsonHoldsPlanAndPrediction) {
  const auto inspection = Inspect(folder_ / "model", {16});
  ASSERT_OK(inspection);
  const auto json = ToJson(*inspection);
  EXPECT_EQ(json["reuse_plan"], "4x2");
  EXPECT_EQ(json["lengths"][0]["seq_len"], 16);
  EXPECT_LT(json["parameters"], json["parameters_exact"]);
}

TEST_F(InspectTest, ThePageDrawsTheReuseMap) {
  const auto inspection = Inspect(folder_ / "model", {16});
  ASSERT_OK(inspection);
  const std::string page = ToText(*inspection);
  EXPECT_THAT(page, HasSubstr("4 layers, 4 heads of 16"));
  EXPECT_THAT(page, HasSubstr("1.4"));  // head 4 of layer 1 as a source
}

}  // namespace
}  // namespace reprise::server::commands
