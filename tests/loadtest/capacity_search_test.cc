#include "loadtest/generator/capacity_search.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::loadtest {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::_;

class CapacitySearchTest : public ::testing::TestWithParam<double> {};

TEST_P(CapacitySearchTest, FindsTheRateFromAnyGuess) {
  constexpr double kCapacity = 123.4;
  int probes = 0;
  const auto found = FindCapacity(GetParam(), 0.02, [&](double rate) -> absl::StatusOr<bool> {
    ++probes;
    return rate <= kCapacity;
  });
  ASSERT_OK(found);
  EXPECT_LE(*found, kCapacity);
  EXPECT_GE(*found, kCapacity / 1.02);
  EXPECT_LE(probes, 30);
}

INSTANTIATE_TEST_SUITE_P(Guesses, CapacitySearchTest, ::testing::Values(2.0, 100.0, 123.4, 5000.0));

TEST(CapacitySearch, SaysThatNoRateIsBorne) {
  EXPECT_THAT(FindCapacity(100, 0.1, [](double) -> absl::StatusOr<bool> { return false; }),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
}

TEST(CapacitySearch, AnErrorOfAProbeEndsIt) {
  EXPECT_THAT(FindCapacity(100, 0.1,
                           [](double) -> absl::StatusOr<bool> {
                             return absl::UnavailableError("server has gone");
                           }),
              StatusIs(absl::StatusCode::kUnavailable, "server has gone"));
}

}  // namespace
}  // namespace reprise::loadtest
