#include "server/commands/bench_models.h"

#include <string>
#include <vector>

#include "engine/analysis/convert.h"
#include "engine/architectures/bert_config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/commands/tiny_model.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BenchModelsTest : public ::testing::Test {
 protected:
  BenchModelsTest() { options_.config_file = folder_.Write("config.json", testing::kTinyConfig); }

  absl::StatusOr<std::vector<BenchModel>> Load() {
    return LoadBenchModels(options_, [this](int done, int total) {
      progress_.push_back(done);
      total_ = total;
    });
  }

  // Writes the random model as a checkpoint and asks for that from now on.
  std::string SaveCheckpoint() {
    options_.save_weights = folder_ / "saved";
    EXPECT_OK(Load());
    options_ = BenchModelOptions();
    options_.checkpoint = folder_ / "saved";
    return options_.checkpoint;
  }

  std::string ConvertCheckpoint(int heads, int layers) {
    engine::analysis::ConversionOptions conversion;
    conversion.input_directory = SaveCheckpoint();
    conversion.output_directory = folder_ / "reuse";
    conversion.plan = *engine::reuse::ReusePlan::Proposed(4, 4, heads, layers);
    EXPECT_OK(engine::analysis::ConvertStructurally(conversion));
    options_.checkpoint = conversion.output_directory;
    return options_.checkpoint;
  }

  TemporaryDirectory folder_;
  BenchModelOptions options_;
  std::vector<int> progress_;
  int total_ = 0;
};

TEST_F(BenchModelsTest, EveryPlanIsLoadedInEveryPrecision) {
  options_.plans = {"exact", "4x2", "skip-1"};
  options_.precisions = {engine::Precision::kF32};
  const auto models = Load();
  ASSERT_OK(models);
  ASSERT_EQ(models->size(), 3u);
  EXPECT_EQ((*models)[1].plan, "4x2");
  EXPECT_EQ((*models)[1].model->plan().num_reused_heads(), 8);
  EXPECT_LT((*models)[1].model->parameter_count(), (*models)[0].model->parameter_count());
  EXPECT_EQ((*models)[2].weights, "random");
  EXPECT_THAT(progress_, ElementsAre(1, 2, 3));
  EXPECT_EQ(total_, 3);
}

TEST_F(BenchModelsTest, WithoutPlansAnOrdinaryModelRunsExact) {
  const auto models = Load();
  ASSERT_OK(models);
  EXPECT_EQ(models->front().plan, "exact");
}

TEST_F(BenchModelsTest, APlanIsAppliedToAnOrdinaryCheckpointInMemory) {
  SaveCheckpoint();
  options_.plans = {"exact", "3x2"};
  const auto models = Load();
  ASSERT_OK(models);
  EXPECT_EQ((*models)[0].weights, "checkpoint");
  EXPECT_EQ((*models)[1].model->plan().num_reused_heads(), 6);
}

TEST_F(BenchModelsTest, AReuseCheckpointRunsItsOwnPlanByDefault) {
  ConvertCheckpoint(3, 2);
  const auto models = Load();
  ASSERT_OK(models);
  EXPECT_EQ(models->front().plan, "own");
  EXPECT_EQ(models->front().weights, "checkpoint");
  EXPECT_EQ(models->front().model->plan().num_reused_heads(), 6);
}

TEST_F(BenchModelsTest, ExactOnAReuseCheckpointSaysThatWeightsWereFilled) {
  ConvertCheckpoint(3, 2);
  options_.plans = {"own", "exact"};
  const auto models = Load();
  ASSERT_OK(models);
  EXPECT_EQ((*models)[1].model->plan().num_reused_heads(), 0);
  EXPECT_THAT((*models)[1].weights, HasSubstr("random"));
  EXPECT_GT((*models)[1].model->parameter_count(), (*models)[0].model->parameter_count());
}

TEST_F(BenchModelsTest, AnotherPlanOnAReuseCheckpointIsRefused) {
  ConvertCheckpoint(3, 2);
  options_.plans = {"4x1"};
  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("own or exact")));
}

TEST_F(BenchModelsTest, AConfigWithAPlanHasItAsItsOwn) {
  std::string config = testing::kTinyConfig;
  config.insert(config.rfind('}'), R"(, "attention_reuse": {"heads": 2, "layers": 1})");
  options_.config_file = folder_.Write("reuse.json", config);
  options_.plans = {"own", "exact", "4x3"};
  const auto models = Load();
  ASSERT_OK(models);
  EXPECT_EQ((*models)[0].model->plan().num_reused_heads(), 2);
  EXPECT_EQ((*models)[1].weights, "random");
  EXPECT_EQ((*models)[2].model->plan().num_reused_heads(), 12);
}

TEST_F(BenchModelsTest, TheSavedWeightsAreThoseThatWereTimed) {
  const auto random = Load();
  ASSERT_OK(random);
  SaveCheckpoint();
  const auto saved = Load();
  ASSERT_OK(saved);
  EXPECT_EQ(saved->front().model->parameter_count(), random->front().model->parameter_count());
}

TEST_F(BenchModelsTest, AMissingConfigIsNamed) {
  options_.config_file = folder_ / "absent.json";
  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent.json")));
}

TEST_F(BenchModelsTest, AnUnknownPlanIsInvalid) {
  options_.plans = {"sometimes"};
  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace reprise::server::commands
