// Sizes and tables that are no plan: the first fault is named, with what was expected.
#include <climits>
#include <string>
#include <vector>

#include "engine/reuse/reuse_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ReusePlanErrorTest, SizesOutsideTheLimitsAreRefused) {
  for (int layers : {0, -1, INT_MIN, kMaxLayers + 1, INT_MAX}) {
    EXPECT_THAT(
        ReusePlan::Exact(layers, 4),
        StatusIs(kInvalid, HasSubstr(std::to_string(layers) + " layers; expected 1 to 1024")));
  }
  for (int heads : {0, -1, INT_MIN, kMaxHeads + 1, INT_MAX}) {
    EXPECT_THAT(ReusePlan::Exact(4, heads),
                StatusIs(kInvalid, HasSubstr("heads per layer; expected 1 to 1024")));
    EXPECT_THAT(ReusePlan::Skip(4, heads, 1), StatusIs(kInvalid, HasSubstr("expected 1 to 1024")));
  }
  EXPECT_OK(ReusePlan::Exact(kMaxLayers, 1));
  EXPECT_OK(ReusePlan::Exact(1, kMaxHeads));
}

TEST(ReusePlanErrorTest, ProposedNamesTheNumberOutOfRange) {
  for (int heads : {-1, 13, INT_MAX, INT_MIN}) {
    EXPECT_THAT(ReusePlan::Proposed(12, 12, heads, 6),
                StatusIs(kInvalid, AllOf(HasSubstr(std::to_string(heads)),
                                         HasSubstr("heads per layer; expected 0 to 12"))));
  }
  for (int layers : {-1, 12, INT_MAX, INT_MIN}) {
    EXPECT_THAT(ReusePlan::Proposed(12, 12, 6, layers),
                StatusIs(kInvalid, AllOf(HasSubstr("proposed reuse in " + std::to_string(layers)),
                                         HasSubstr("layers; expected 0 to 11"))));
  }
}

TEST(ReusePlanErrorTest, VariantsNameTheirRange) {
  for (int layers : {-1, 7, INT_MAX}) {
    EXPECT_THAT(ReusePlan::Alternate(13, 4, layers),
                StatusIs(kInvalid, HasSubstr("expected 0 to 6 for a model of 13 layers")));
  }
  for (int layers : {-1, 0, 11, INT_MAX}) {
    EXPECT_THAT(ReusePlan::AllEnd(12, 4, layers),
                StatusIs(kInvalid, HasSubstr("expected 1 to 10 for a model of 12 layers")));
  }
  EXPECT_THAT(ReusePlan::AllEnd(2, 4, 1), StatusIs(kInvalid, HasSubstr("at least 3 layers")));
  for (int layers : {-1, 12, INT_MAX}) {
    EXPECT_THAT(ReusePlan::Skip(12, 4, layers),
                StatusIs(kInvalid, HasSubstr("expected 0 to 11 for a model of 12 layers")));
  }
}

TEST(ReusePlanErrorTest, AnEntryMayNotPointOutsideTheModel) {
  for (const HeadRef bad :
       {HeadRef{2, 0}, HeadRef{-1, 0}, HeadRef{0, 2}, HeadRef{0, -1}, HeadRef{INT_MAX, INT_MIN}}) {
    EXPECT_THAT(ReusePlan::FromTable({{{0, 0}, {0, 1}}, {{1, 0}, bad}}, {true, true}),
                StatusIs(kInvalid, AllOf(HasSubstr("source[1][1] is [" + std::to_string(bad.layer) +
                                                   ", " + std::to_string(bad.head) + "]"),
                                         HasSubstr("a model of 2 layers with 2 heads"),
                                         HasSubstr("expected [1, 1] itself or a head of an"))));
  }
}

TEST(ReusePlanErrorTest, AnEntryMayNotPointSidewaysOrForward) {
  EXPECT_THAT(ReusePlan::FromTable({{{0, 0}, {0, 0}}}, {true}),
              StatusIs(kInvalid, HasSubstr("source[0][1] is [0, 0], another head of the same")));
  EXPECT_THAT(ReusePlan::FromTable({{{1, 0}}, {{1, 0}}}, {true, true}),
              StatusIs(kInvalid, HasSubstr("source[0][0] is [1, 0], a head of a later layer")));
}

TEST(ReusePlanErrorTest, AnEntryMayNotReadALayerWithoutAttention) {
  EXPECT_THAT(
      ReusePlan::FromTable({{{0, 0}}, {{1, 0}}, {{1, 0}}}, {true, false, true}),
      StatusIs(kInvalid, HasSubstr("source[2][0] is [1, 0], a head of a layer without attention")));
}

TEST(ReusePlanErrorTest, TheFirstBrokenEntryIsNamed) {
  EXPECT_THAT(ReusePlan::FromTable({{{0, 0}, {0, 1}}, {{7, 0}, {1, 0}}, {{9, 9}, {9, 9}}},
                                   {true, true, true}),
              StatusIs(kInvalid, HasSubstr("source[1][0] is [7, 0]")));
}

TEST(ReusePlanErrorTest, TablesMustBeRectangular) {
  EXPECT_THAT(ReusePlan::FromTable({{{0, 0}, {0, 1}}, {{1, 0}}}, {true, true}),
              StatusIs(kInvalid, HasSubstr("source[1] has 1 entries; expected 2")));
  EXPECT_THAT(ReusePlan::FromTable({{{0, 0}}, {{1, 0}}}, {true}),
              StatusIs(kInvalid, HasSubstr("has_attention has 1 entries; expected 2")));
}

TEST(ReusePlanErrorTest, TablesMustHaveLayersHeadsAndAttention) {
  EXPECT_THAT(ReusePlan::FromTable({}, {}), StatusIs(kInvalid, HasSubstr("0 layers")));
  EXPECT_THAT(ReusePlan::FromTable({{}}, {true}), StatusIs(kInvalid, HasSubstr("0 heads")));
  EXPECT_THAT(ReusePlan::FromTable({{{0, 0}}}, {false}),
              StatusIs(kInvalid, HasSubstr("expected at least one layer with attention")));
}

TEST(ReusePlanErrorTest, OversizedTablesAreRefused) {
  EXPECT_THAT(
      ReusePlan::FromTable(SourceTable(kMaxLayers + 1), std::vector<bool>(kMaxLayers + 1, true)),
      StatusIs(kInvalid, HasSubstr("1025 layers")));
  EXPECT_THAT(ReusePlan::FromTable({std::vector<HeadRef>(kMaxHeads + 1)}, {true}),
              StatusIs(kInvalid, HasSubstr("1025 heads per layer")));
}

}  // namespace
}  // namespace reprise::engine::reuse
