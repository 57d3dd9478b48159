#include "server/repository/warm_up.h"

#include <limits>
#include <stop_token>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::repository {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class ShapeRunner final : public batching::BatchRunner {
 public:
  absl::Status Run(const engine::RaggedBatch& batch, const engine::OutputSet&,
                   engine::Outputs* outputs) override {
    shapes.emplace_back(batch.batch_size(), batch.total_tokens());
    outputs->logits = {&value, 1, 1, 1};
    return status;
  }
  const engine::ExecutionReport& report() const override { return report_; }

  std::vector<std::pair<std::int64_t, std::int64_t>> shapes;  // sequences, tokens
  float value = 1;
  absl::Status status;

 private:
  engine::ExecutionReport report_;
};

ModelLimits Limits() {
  ModelLimits limits;
  limits.max_batch_size = 20;
  limits.max_batch_tokens = 4096;
  limits.max_sequence_tokens = 512;
  return limits;
}

TEST(WarmUp, RunsTheSmallestTheLongestAndManySequences) {
  ShapeRunner runner;
  ASSERT_OK(WarmUp(Limits(), {}, 1, {}, &runner));
  EXPECT_THAT(runner.shapes, ElementsAre(Pair(1, 1), Pair(1, 512), Pair(20, 320)));
}

TEST(WarmUp, KeepsTinyLimits) {
  ShapeRunner runner;
  ModelLimits limits;
  limits.max_batch_size = limits.max_batch_tokens = limits.max_sequence_tokens = 1;
  ASSERT_OK(WarmUp(limits, {}, 1, {}, &runner));
  EXPECT_THAT(runner.shapes, ElementsAre(Pair(1, 1), Pair(1, 1), Pair(1, 1)));
}

TEST(WarmUp, ZeroRunsIsOff) {
  ShapeRunner runner;
  ASSERT_OK(WarmUp(Limits(), {}, 0, {}, &runner));
  EXPECT_THAT(runner.shapes, IsEmpty());
}

TEST(WarmUp, TellsHowLongBatchesTake) {
  ShapeRunner runner;
  const auto times = WarmUp(Limits(), {}, 1, {}, &runner);
  ASSERT_OK(times);
  EXPECT_FALSE(times->empty());
  EXPECT_TRUE(WarmUp(Limits(), {}, 0, {}, &runner)->empty());
}

TEST(WarmUp, AFaultOrAValueThatIsNotFiniteKeepsTheModelFromServing) {
  ShapeRunner runner;
  runner.value = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(WarmUp(Limits(), {}, 1, {}, &runner),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("not finite")));
  runner.status = absl::ResourceExhaustedError("no memory");
  EXPECT_THAT(WarmUp(Limits(), {}, 1, {}, &runner),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no memory")));
}

TEST(WarmUp, RunsNothingMoreOnceItIsToldToStop) {
  ShapeRunner runner;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(WarmUp(Limits(), {}, 1, stop.get_token(), &runner),
              StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  EXPECT_THAT(runner.shapes, IsEmpty());
}

}  // namespace
}  // namespace reprise::server::repository
