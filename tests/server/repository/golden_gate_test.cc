#include "server/repository/golden_gate.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <stop_token>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fakes/fake_servable.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::repository {
namespace {

using ::reprise::server::testing::FakeParts;
using ::reprise::server::testing::FakeRunner;
using ::reprise::server::testing::RunnerControl;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The fake model's sentence_embedding is {sum of the ids, their number}; a text is its bytes.
class GoldenGateTest : public ::testing::Test {
 protected:
  absl::Status Check(const std::string& golden) {
    std::ofstream(std::filesystem::path(directory_.path()) / kGoldenFile) << golden;
    return CheckGolden(directory_.path(), parts_, {});
  }
  absl::Status CheckSample(const std::string& tolerance, const std::string& sample) {
    return Check(R"({"tolerance": {)" + tolerance + R"(}, "samples": [)" + sample + "]}");
  }

  const TemporaryDirectory directory_;
  const std::shared_ptr<RunnerControl> control_ = std::make_shared<RunnerControl>();
  ServableParts parts_ = FakeParts("m", "1", control_);
};

TEST_F(GoldenGateTest, AVersionWithoutTheFilePasses) {
  EXPECT_OK(CheckGolden(directory_.path(), parts_, {}));
  EXPECT_THAT(control_->runs(), SizeIs(0));
}

TEST_F(GoldenGateTest, EveryExecutorAnswersEverySampleAlone) {
  parts_.runners.push_back(std::make_unique<FakeRunner>(control_));
  EXPECT_OK(Check(R"({"tolerance": {"max_abs": 0, "min_cosine": 1}, "samples": [
      {"text": "ab", "outputs": {"sentence_embedding": [195, 2]}},
      {"input_ids": [5, 6], "outputs": {"sentence_embedding": [11, 2],
                                        "last_hidden_state": [[5, 1000], [6, 1001]]}}]})"));
  EXPECT_THAT(control_->runs(), SizeIs(4));
}

TEST_F(GoldenGateTest, NamesSampleOutputFoundAndExpected) {
  const absl::Status status = Check(R"({"tolerance": {"max_abs": 0.5}, "samples": [
          {"text": "a", "outputs": {"sentence_embedding": [97, 1]}},
          {"text": "a", "outputs": {"sentence_embedding": [97, 1.75]}}]})");
  EXPECT_TRUE(IsGoldenMismatch(status));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "golden.json sample 1, output 'sentence_embedding' at 1: found 1, "
                               "expected 1.75 within max_abs 0.5"));
}

TEST_F(GoldenGateTest, MeasuresTheAngleOfEachVector) {
  const std::string sample =
      R"({"input_ids": [3], "outputs": {"sentence_embedding": [1, 3]}})";  // found: 3, 1
  EXPECT_OK(CheckSample(R"("min_cosine": 0.6)", sample));
  const absl::Status status = CheckSample(R"("min_cosine": 0.61)", sample);
  EXPECT_TRUE(IsGoldenMismatch(status));
  EXPECT_THAT(status.message(), HasSubstr("found cosine 0.6 "));
  const absl::Status token = CheckSample(
      R"("min_cosine": 0.9)",
      R"({"input_ids": [3, 4], "outputs": {"last_hidden_state": [[3, 1000], [1000, 0]]}})");
  EXPECT_THAT(token.message(), HasSubstr("output 'last_hidden_state', token 1: found cosine"));
}

TEST_F(GoldenGateTest, AnswersOfAnotherSizeDiffer) {
  const absl::Status width = CheckSample(
      R"("max_abs": 9)", R"({"input_ids": [3], "outputs": {"sentence_embedding": [3, 1, 0]}})");
  EXPECT_TRUE(IsGoldenMismatch(width));
  EXPECT_THAT(width.message(), HasSubstr("found 2 values, expected 3"));
  const absl::Status tokens =
      CheckSample(R"("max_abs": 9)",
                  R"({"input_ids": [3], "outputs": {"last_hidden_state": [[3, 1], [3, 1]]}})");
  EXPECT_TRUE(IsGoldenMismatch(tokens));
  EXPECT_THAT(tokens.message(), HasSubstr("found 1 vectors, expected 2"));
}

TEST_F(GoldenGateTest, ASampleThatTheModelCannotTakeIsNoMismatch) {
  const std::string outputs = R"("outputs": {"sentence_embedding": [1, 1]})";
  for (const std::string& sample : {R"({"input_ids": [5000], )" + outputs + "}",
                                    R"({"text": "longer than 8", )" + outputs + "}",
                                    std::string(R"({"text": "a", "outputs": {"logits": [1]}})")}) {
    const absl::Status status = CheckSample(R"("max_abs": 9)", sample);
    EXPECT_THAT(status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("golden.json sample 0: ")));
    EXPECT_FALSE(IsGoldenMismatch(status));
  }
  EXPECT_THAT(Check("{"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(kGoldenFile)));
  EXPECT_THAT(Check("{}"), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr(kGoldenFile), HasSubstr("tolerance"))));
}

TEST_F(GoldenGateTest, AnExecutorThatFailsIsNoMismatch) {
  control_->FailFromNowOn();
  const absl::Status status = CheckSample(
      R"("max_abs": 9)", R"({"input_ids": [3], "outputs": {"sentence_embedding": [3, 1]}})");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, HasSubstr("device lost")));
}

TEST_F(GoldenGateTest, StopsBetweenSamples) {
  ASSERT_OK(CheckSample(R"("max_abs": 9)",
                        R"({"input_ids": [3], "outputs": {"sentence_embedding": [3, 1]}})"));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(CheckGolden(directory_.path(), parts_, stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stopping")));
}

}  // namespace
}  // namespace reprise::server::repository
