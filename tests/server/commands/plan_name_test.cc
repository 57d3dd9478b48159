#include "server/commands/plan_name.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::commands {
namespace {

using engine::reuse::ReusePlan;
using ::reprise::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

TEST(PlanByName, KTimesPIsTheProposedPlan) {
  const auto plan = PlanByName("6x10", 12, 12);
  ASSERT_OK(plan);
  EXPECT_EQ(*plan, *ReusePlan::Proposed(12, 12, 6, 10));
}

TEST(PlanByName, EveryVariantHasAName) {
  EXPECT_EQ(*PlanByName("exact", 12, 12), *ReusePlan::Exact(12, 12));
  EXPECT_EQ(*PlanByName("alternate-6", 12, 12), *ReusePlan::Alternate(12, 12, 6));
  EXPECT_EQ(*PlanByName("all_end-5", 12, 12), *ReusePlan::AllEnd(12, 12, 5));
  EXPECT_EQ(*PlanByName("skip-4", 12, 12), *ReusePlan::Skip(12, 12, 4));
}

TEST(PlanByName, TheNameOfAPlanReadsBack) {
  for (const char* name : {"exact", "12x6", "6x10", "alternate-3", "all_end-2", "skip-1"}) {
    const auto plan = PlanByName(name, 12, 12);
    ASSERT_OK(plan);
    EXPECT_EQ(plan->name(), name);
  }
}

TEST(PlanByName, OtherTextListsWhatIsExpected) {
  for (const char* name : {"", "x", "12x", "x6", "12x6x1", "-6", "skip", "skip-", "skip--1",
                           "skip-1a", "often-3", "1.5x2", "99999999999x1", "own"}) {
    EXPECT_THAT(PlanByName(name, 12, 12),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("all_end-P")))
        << name;
  }
}

TEST(PlanByName, NumbersTheModelDoesNotAllowAreInvalid) {
  EXPECT_THAT(PlanByName("13x6", 12, 12), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(PlanByName("12x12", 12, 12), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace reprise::server::commands
