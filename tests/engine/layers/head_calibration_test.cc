#include "engine/layers/head_calibration.h"

#include <string>

#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/isa.h"
#include "engine/layers/head_calibration_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::layers {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Each test has heads of a width of its own, as what is known is known for the process.
ops::AttentionOptions HeadsOfWidth(std::int64_t head_dim) {
  return {
      .precision = DType::kF32, .score_format = DType::kF32, .head_dim = head_dim, .scale = 0.1f};
}

class HeadCalibrationTest : public ::testing::Test {
 protected:
  auto Measure(std::int64_t head_dim, const CalibrationLimits& limits) {
    const device::ExecutionScope scope;
    return CalibratedHeadTimes(team_, HeadsOfWidth(head_dim), /*heads=*/2, limits);
  }
  device::ThreadTeam team_{{.threads = 2}};
};

TEST_F(HeadCalibrationTest, MeasuresLengthsUpToTheLimits) {
  const auto times = Measure(8, {.max_seq_len = 300, .score_bytes = 1 << 20});
  ASSERT_OK(times);
  ASSERT_EQ((*times)->size(), 3u);
  EXPECT_EQ((*times)->back().seq_len, 256);
  for (const reuse::HeadTimes& length : **times) {
    for (const double nanoseconds : {length.compute, length.compute_stored, length.compute_kept,
                                     length.read, length.recompute}) {
      EXPECT_GT(nanoseconds, 0);
    }
  }
  const auto fewer_scores = Measure(9, {.max_seq_len = 300, .score_bytes = 40'000});
  ASSERT_OK(fewer_scores);
  EXPECT_EQ((*fewer_scores)->back().seq_len, 64);
}

TEST_F(HeadCalibrationTest, MeasuresOneLengthAtLeast) {
  const auto times = Measure(10, {.max_seq_len = 5, .score_bytes = 0});
  ASSERT_OK(times);
  ASSERT_EQ((*times)->size(), 1u);
  EXPECT_EQ((*times)->front().seq_len, 5);
}

TEST_F(HeadCalibrationTest, MeasuresAgainOnlyToReachFurther) {
  const auto first = Measure(11, {.max_seq_len = 64, .score_bytes = 1 << 20});
  ASSERT_OK(first);
  EXPECT_EQ(*Measure(11, {.max_seq_len = 40, .score_bytes = 1 << 20}), *first);
  const auto further = Measure(11, {.max_seq_len = 256, .score_bytes = 1 << 20});
  ASSERT_OK(further);
  EXPECT_EQ((*further)->back().seq_len, 256);
}

TEST_F(HeadCalibrationTest, TakesWhatAFileSays) {
  const testing::TemporaryDirectory folder;
  const HeadCalibration set = {{DType::kF32, DType::kF32, 12, 2, 2},
                               {{16, 1.5, 2, 3, 4, 5}, {64, 10, 20, 30, 40, 50}}};
  const std::string path = folder / "heads.json";
  ASSERT_OK(WriteCalibration({set}, path));
  const auto read = ReadCalibration(path);
  ASSERT_OK(read);
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ(read->front().kind, set.kind);
  EXPECT_EQ(read->front().times, set.times);
  UseCalibration(*read);
  const auto times = Measure(12, {.max_seq_len = 2048, .score_bytes = 1 << 30});
  ASSERT_OK(times);
  EXPECT_EQ(**times, set.times);
}

TEST(ReadCalibrationTest, SaysWhatItFoundAndExpected) {
  const testing::TemporaryDirectory folder;
  EXPECT_THAT(ReadCalibration("/nowhere/heads.json"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/heads.json")));
  const std::string isa(device::Name(device::ActiveCpuIsa()));
  const std::string good =
      R"({"precision": "fp32", "score_format": "fp32", "head_dim": 8, "heads": 2,
      "threads": 1, "lengths": [{"seq_len": 16, "compute_ns": 1, "compute_stored_ns": 1,
      "compute_kept_ns": 1, "read_ns": 1, "recompute_ns": 1}]})";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string kind = good;
    kind.replace(kind.find(from), from.size(), to);
    return "{\"isa\": \"" + isa + "\", \"kinds\": [" + kind + "]}";
  };
  EXPECT_OK(ReadCalibration(folder.Write("heads.json", with("8", "8"))));
  const std::pair<std::string, const char*> wrong[] = {
      {"[]", "kinds is null; expected a list"},
      {R"({"kinds": []})", "kinds is []; expected a list"},
      {R"({"kinds": [7]})", "precision is null; expected \"fp32\" or \"bf16\""},
      {with("\"fp32\"", "\"int8\""), "precision is \"int8\""},
      {with("\"head_dim\": 8", "\"head_dim\": 0"), "head_dim is 0; expected a whole number from 1"},
      {with("\"heads\": 2", "\"heads\": -2"), "heads is -2"},
      {with("\"threads\": 1", "\"threads\": 1.5"), "threads is 1.5"},
      {with("\"read_ns\": 1", "\"read_ns\": 0"), "read_ns is 0; expected nanoseconds above 0"},
      {with("\"read_ns\": 1", "\"read_ns\": \"1\""), "read_ns is \"1\""},
      {with("\"seq_len\": 16, ", ""), "seq_len is null"},
      {with("[{",
            "[{\"seq_len\": 16, \"compute_ns\": 1, \"compute_stored_ns\": 1, "
            "\"compute_kept_ns\": 1, \"read_ns\": 1, \"recompute_ns\": 1}, {"),
       "expected ascending seq_len"},
  };
  for (const auto& [text, message] : wrong) {
    EXPECT_THAT(ReadCalibration(folder.Write("heads.json", text)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("heads.json"), HasSubstr(message))))
        << text;
  }
}

TEST(ReadCalibrationTest, RefusesTimesOfAnotherInstructionSet) {
  const testing::TemporaryDirectory folder;
  const char* other = device::ActiveCpuIsa() == device::CpuIsa::kSse4 ? "avx2" : "sse4";
  EXPECT_THAT(ReadCalibration(folder.Write(
                  "heads.json", std::string(R"({"isa": ")") + other + R"(", "kinds": []})")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(other)));
}

}  // namespace
}  // namespace reprise::engine::layers
