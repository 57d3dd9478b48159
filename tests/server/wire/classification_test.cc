#include "server/wire/classification.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::wire {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor Scores(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor tensor;
  tensor.name = "logits";
  tensor.shape = std::move(shape);
  tensor.raw.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return tensor;
}

TEST(ClassifyTest, ListsTheHighestOfEachRowFirst) {
  const auto result = Classify(Scores({2, 3}, {1, 3, 2, 0.1f, -5, 7}), 2, {"a", "b", "c"});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->shape, ElementsAre(2, 2));
  EXPECT_THAT(result->elements, ElementsAre("3:1:b", "2:2:c", "7:2:c", "0.1:0:a"));
}

TEST(ClassifyTest, LeavesOutLabelsThatDoNotExist) {
  const auto result = Classify(Scores({1, 2}, {1, 2}), 2, {"a"});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->elements, ElementsAre("2:1", "1:0:a"));
}

TEST(ClassifyTest, GivesNoMoreClassesThanThereAre) {
  const auto result =
      Classify(Scores({1, 2}, {1, 2}), std::numeric_limits<std::int64_t>::max(), {});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->shape, ElementsAre(1, 2));
}

TEST(ClassifyTest, GivesNothingWhereThereAreNoClasses) {
  const auto result = Classify(Scores({2, 0}, {}), 3, {});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->shape, ElementsAre(2, 0));
  EXPECT_TRUE(result->elements.empty());
}

TEST(ClassifyTest, OrdersTiesByIndexAndNanLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto result = Classify(Scores({1, 5}, {nan, 1, nan, 1, 2}), 5, {});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->elements, ElementsAre("2:4", "1:1", "1:3", "nan:0", "nan:2"));
}

TEST(ClassifyTest, RefusesOtherShapes) {
  EXPECT_THAT(Classify(Scores({1, 1, 2}, {1, 2}), 1, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot be classified")));
}

}  // namespace
}  // namespace reprise::server::wire
