#include "engine/weights/exact_fill_source.h"

#include "engine/weights/planned_source.h"
#include "gtest/gtest.h"
#include "tests/engine/weights/memory_source.h"
#include "tests/status_matchers.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::MemorySource;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kThreeByTwo[] = {3, 2};
constexpr std::int64_t kTwo[] = {2};

// Three heads of one row; "q" keeps its middle one, "k" none.
const RowBlockMap& Blocks() {
  static const auto& blocks = *new RowBlockMap{{"q", {3, {1}}}, {"k", {3, {}}}};
  return blocks;
}
const MemorySource& Reduced() {
  static const auto& source =
      *new MemorySource({{"q", {{1, 2}, {10, 11}}}, {"v", {{2}, {20, 21}}}});
  return source;
}
const MemorySource& Fill() {
  static const auto& source = *new MemorySource({{"q", {{3, 2}, {0, 1, 2, 3, 4, 5}}},
                                                 {"k", {{3, 2}, {6, 7, 8, 9, 10, 11}}},
                                                 {"v", {{2}, {-1, -1}}}});
  return source;
}

TEST(ExactFillSourceTest, PutsKeptBlocksInTheirPlacesAmongTheFill) {
  const ExactFillSource source(Reduced(), Blocks(), Fill());
  const auto values = source.Read("q", kThreeByTwo);
  ASSERT_OK(values);
  EXPECT_THAT(*values, ElementsAre(0, 1, 10, 11, 4, 5));
}

TEST(ExactFillSourceTest, TakesAnAbsentTensorFromTheFill) {
  const ExactFillSource source(Reduced(), Blocks(), Fill());
  EXPECT_TRUE(source.Contains("k"));
  const auto values = source.Read("k", kThreeByTwo);
  ASSERT_OK(values);
  EXPECT_THAT(*values, ElementsAre(6, 7, 8, 9, 10, 11));
}

TEST(ExactFillSourceTest, TakesWholeTensorsFromTheModel) {
  const ExactFillSource source(Reduced(), Blocks(), Fill());
  const auto values = source.Read("v", kTwo);
  ASSERT_OK(values);
  EXPECT_THAT(*values, ElementsAre(20, 21));
}

TEST(ExactFillSourceTest, AThinnedOutFilledModelIsTheModel) {
  const ExactFillSource filled(Reduced(), Blocks(), Fill());
  const PlannedSource again(filled, Blocks());
  const std::int64_t shape[] = {1, 2};
  const auto values = again.Read("q", shape);
  ASSERT_OK(values);
  EXPECT_THAT(*values, ElementsAre(10, 11));
  EXPECT_FALSE(again.Contains("k"));
}

TEST(ExactFillSourceTest, RefusesAModelWhoseBlocksDoNotFit) {
  const MemorySource wrong({{"q", {{2, 2}, {10, 11, 12, 13}}}});
  const ExactFillSource source(wrong, Blocks(), Fill());
  EXPECT_THAT(source.Read("q", kThreeByTwo),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[2, 2]; expected [1, 2]")));
}

}  // namespace
}  // namespace reprise::engine::weights
