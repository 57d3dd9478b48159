#include "engine/weights/planned_source.h"

#include "gtest/gtest.h"
#include "tests/engine/weights/memory_source.h"
#include "tests/status_matchers.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::MemorySource;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kFourByTwo[] = {4, 2};
constexpr std::int64_t kSixByTwo[] = {6, 2};

// Three heads of two rows.
const MemorySource& Whole() {
  static const auto& source = *new MemorySource(
      {{"q", {{6, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}}, {"v", {{1, 2}, {-1, -2}}}});
  return source;
}

TEST(PlannedSourceTest, ShowsTheKeptBlocksInOrder) {
  const PlannedSource source(Whole(), {{"q", {3, {0, 2}}}});
  const auto shape = source.Shape("q");
  ASSERT_OK(shape);
  EXPECT_THAT(*shape, ElementsAre(4, 2));
  const auto values = source.Read("q", kFourByTwo);
  ASSERT_OK(values);
  EXPECT_THAT(*values, ElementsAre(0, 1, 2, 3, 8, 9, 10, 11));
}

TEST(PlannedSourceTest, PassesOtherTensorsThrough) {
  const PlannedSource source(Whole(), {{"q", {3, {0, 2}}}});
  EXPECT_TRUE(source.Contains("v"));
  const std::int64_t shape[] = {1, 2};
  const auto values = source.Read("v", shape);
  ASSERT_OK(values);
  EXPECT_THAT(*values, ElementsAre(-1, -2));
}

TEST(PlannedSourceTest, HidesATensorOfWhichNothingIsKept) {
  const PlannedSource source(Whole(), {{"q", {3, {}}}});
  EXPECT_FALSE(source.Contains("q"));
  EXPECT_THAT(source.Shape("q"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'q'")));
  EXPECT_THAT(source.Read("q", kSixByTwo), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'q'")));
}

TEST(PlannedSourceTest, RefusesTheWholeShape) {
  const PlannedSource source(Whole(), {{"q", {3, {0, 2}}}});
  EXPECT_THAT(source.Read("q", kSixByTwo),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'q'"), HasSubstr("[4, 2]; expected [6, 2]"))));
}

TEST(PlannedSourceTest, RefusesRowsThatDoNotDivideIntoBlocks) {
  const PlannedSource source(Whole(), {{"q", {4, {0}}}});
  EXPECT_THAT(source.Shape("q"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rows in 4 blocks")));
}

}  // namespace
}  // namespace reprise::engine::weights
