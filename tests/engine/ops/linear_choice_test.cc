#include "engine/ops/linear_choice.h"

#include <chrono>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::ops::internal {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

// Takes its time and knows its name.
class TimedBackend final : public LinearBackend {
 public:
  TimedBackend(std::int64_t name, std::chrono::microseconds time) : name_(name), time_(time) {}
  void Run(const LinearBlock& block) const override {
    EXPECT_EQ(block.rows, kMaxBlockRows);
    EXPECT_NE(block.x, nullptr);
    EXPECT_NE(block.y, nullptr);
    const auto end = std::chrono::steady_clock::now() + time_;
    while (std::chrono::steady_clock::now() < end) continue;
    ++runs;
  }
  std::int64_t packed_bytes() const override { return name_; }
  std::int64_t scratchpad_bytes() const override { return 64; }

  static inline int runs = 0;

 private:
  std::int64_t name_;
  std::chrono::microseconds time_;
};

using Packed = absl::StatusOr<std::unique_ptr<LinearBackend>>;
Packed Slow(const LinearOptions&, const LinearWeights&) {
  return std::make_unique<TimedBackend>(1, std::chrono::microseconds(2000));
}
Packed Fast(const LinearOptions&, const LinearWeights&) {
  return std::make_unique<TimedBackend>(2, std::chrono::microseconds(100));
}
Packed Absent(const LinearOptions&, const LinearWeights&) {
  return absl::UnimplementedError("not on this processor");
}
Packed Broken(const LinearOptions&, const LinearWeights&) {
  return absl::ResourceExhaustedError("no memory");
}

std::int64_t Choice(PackBackend first, PackBackend second, std::int64_t in_features = 32) {
  const LinearOptions options = {
      .in_features = in_features, .out_features = 16, .in_panel = in_features, .out_panel = 16};
  const auto backend = PackFaster(first, second, options, {});
  EXPECT_OK(backend);
  return backend.ok() ? (*backend)->packed_bytes() : 0;
}

TEST(PackFaster, TakesTheFasterWhereverItStands) {
  EXPECT_EQ(Choice(Slow, Fast), 2);
  EXPECT_EQ(Choice(Fast, Slow), 2);
}

TEST(PackFaster, TriesAShapeOnce) {
  EXPECT_EQ(Choice(Slow, Fast, 64), 2);
  const int runs = TimedBackend::runs;
  EXPECT_EQ(Choice(Slow, Fast, 64), 2);
  EXPECT_EQ(TimedBackend::runs, runs);
  EXPECT_EQ(Choice(Slow, Fast, 65), 2);
  EXPECT_GT(TimedBackend::runs, runs);
}

TEST(PackFaster, TheOneThatExistsWinsUntried) {
  const int runs = TimedBackend::runs;
  EXPECT_EQ(Choice(Absent, Slow), 1);
  EXPECT_EQ(Choice(Slow, Absent), 1);
  EXPECT_EQ(TimedBackend::runs, runs);
}

TEST(PackFaster, ErrorsComeBack) {
  const LinearOptions options = {
      .in_features = 8, .out_features = 8, .in_panel = 8, .out_panel = 8};
  EXPECT_THAT(PackFaster(Broken, Fast, options, {}).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no memory")));
  EXPECT_THAT(PackFaster(Absent, Absent, options, {}).status(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("processor")));
}

}  // namespace
}  // namespace reprise::engine::ops::internal
