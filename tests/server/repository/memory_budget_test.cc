#include "server/repository/memory_budget.h"

#include <optional>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::repository {
namespace {

using reprise::testing::IsOk;
using reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;

TEST(MemoryBudget, RefusesWhatDoesNotFitAndSaysHowMuchIsLeft) {
  MemoryBudget budget(100 * kMiB, [] { return 30 * kMiB; });
  EXPECT_THAT(budget.Reserve(70 * kMiB), IsOk());
  EXPECT_THAT(budget.Reserve(70 * kMiB + 1),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("take 71 MiB"), HasSubstr("of the 100 MiB"),
                             HasSubstr("only 70 MiB"))));
}

TEST(MemoryBudget, LoadsUnderWayCountUntilTheyAreOver) {
  MemoryBudget budget(100 * kMiB, [] { return 0; });
  std::optional<MemoryBudget::Share> first = *budget.Reserve(60 * kMiB);
  EXPECT_FALSE(budget.Reserve(50 * kMiB).ok());
  MemoryBudget::Share second = *budget.Reserve(40 * kMiB);
  EXPECT_FALSE(budget.Reserve(1).ok());
  first.reset();
  EXPECT_THAT(budget.Reserve(60 * kMiB), IsOk());
  const MemoryBudget::Share moved = std::move(second);
  EXPECT_FALSE(budget.Reserve(61 * kMiB).ok());
}

TEST(MemoryBudget, NothingIsLeftOfWhatIsExceeded) {
  MemoryBudget budget(kMiB, [] { return 3 * kMiB; });
  EXPECT_THAT(budget.Reserve(1),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("only 0 MiB")));
  EXPECT_THAT(budget.Reserve(0), IsOk());
}

TEST(MemoryBudget, KnowsWhatTheProcessHolds) {
  const std::int64_t before = OwnMemoryBytes();
  EXPECT_GT(before, 0);
  const std::vector<char> held(64 * kMiB, 1);
  EXPECT_GE(OwnMemoryBytes(), before + 60 * kMiB);
  EXPECT_EQ(held.back(), 1);
}

}  // namespace
}  // namespace reprise::server::repository
