#include "engine/analysis/plan_grid.h"

#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::engine::analysis {
namespace {

using reuse::ReusePlan;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(PlanGridTest, ShowsSourcesSlotsAndGroups) {
  EXPECT_EQ(
      DrawPlanGrid(*ReusePlan::Proposed(5, 4, 3, 3)),
      "plan 3x3: 5 layers of 4 heads; 11 compute scores, 9 reuse them; 4 score slots, 2 groups\n"
      "\n"
      "  head  |   1   2   3   4 | slots | group\n"
      "  layer +-----------------+-------+------\n"
      "      1 |   *   *   *   * | 1-3   |     1\n"
      "      2 |   * 1.1 1.2 1.3 | 4     |     1\n"
      "      3 |   * 2.1 1.1 1.2 | 3     |     1\n"
      "      4 |   * 3.1 2.1 1.1 |       |     1\n"
      "      5 |   *   *   *   * |       |     2\n"
      "\n"
      "  *      computes its own scores\n"
      "  l.h    reuses the scores that head h of layer l computed\n"
      "  -      the layer has no attention\n"
      "  slots  where the score cache keeps the layer's scores until their last reader\n"
      "  group  layers that one sequence passes through before the next sequence starts\n");
}

TEST(PlanGridTest, MarksLayersWithoutAttention) {
  EXPECT_THAT(DrawPlanGrid(*ReusePlan::Skip(3, 2, 1)),
              HasSubstr("      2 | - - |       |     2\n"));
}

TEST(PlanGridTest, CountsOneThingInTheSingular) {
  EXPECT_THAT(DrawPlanGrid(*ReusePlan::Exact(1, 1)),
              StartsWith("plan exact: 1 layer of 1 head; 1 compute scores, 0 reuse them; 0 score "
                         "slots, 1 group\n"));
}

TEST(PlanGridTest, ColumnsLineUpInLargeModels) {
  const std::string grid = DrawPlanGrid(*ReusePlan::Alternate(24, 16, 12));
  EXPECT_THAT(grid, HasSubstr(" 23.16 | "));
  std::size_t width = 0;
  std::size_t begin = grid.find("  head");
  while (grid[begin] != '\n') {
    const std::size_t end = grid.find('\n', begin);
    if (width == 0) width = end - begin;
    EXPECT_EQ(end - begin, width) << grid.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST(PlanGridTest, WritesScatteredSlotsAsRanges) {
  // Slots 1 and 3 are free again in layer 2 (from 0), slot 2 is still read in layer 3.
  const auto plan = ReusePlan::FromTable({{{0, 0}, {0, 1}, {0, 2}},
                                          {{0, 0}, {0, 1}, {0, 2}},
                                          {{2, 0}, {2, 1}, {0, 1}},
                                          {{2, 0}, {2, 1}, {0, 1}}},
                                         {true, true, true, true});
  EXPECT_THAT(DrawPlanGrid(*plan), HasSubstr("      3 |   *   * 1.2 | 1,3   |     1\n"));
}

}  // namespace
}  // namespace reprise::engine::analysis
