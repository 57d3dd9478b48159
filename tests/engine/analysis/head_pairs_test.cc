#include "engine/analysis/head_pairs.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

TEST(HeadPairs, AreNamedFromOne) {
  const auto pair = ParseHeadPair("3.1:2.12");
  ASSERT_OK(pair);
  EXPECT_EQ(*pair, (HeadPair{{2, 0}, {1, 11}}));
  EXPECT_EQ(NameOf(pair->second), "2.12");
  EXPECT_OK(CheckHeadPair(*pair, 3, 12));
}

TEST(HeadPairs, WhatIsNoPairIsSaid) {
  for (const char* text : {"", "3.1", "3.1:", "3.1:2", "3.1:2.7:1.1", "3.0:2.7", "0.1:2.7",
                           "a.b:c.d", "-1.2:1.1", "3,1:2.7", "3.1.1:2.7", "99999999999.1:1.1"}) {
    EXPECT_THAT(ParseHeadPair(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("LAYER.HEAD:LAYER.HEAD")))
        << text;
  }
  EXPECT_THAT(ParseHeadPair("2.2:2.2"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one head twice")));
}

TEST(HeadPairs, HeadsThatTheModelDoesNotHaveAreNamed) {
  EXPECT_THAT(CheckHeadPair({{3, 0}, {0, 0}}, 3, 12),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::AllOf(HasSubstr("no head 4.1"), HasSubstr("1.1 to 3.12"))));
  EXPECT_THAT(CheckHeadPair({{0, 0}, {1, 12}}, 3, 12),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no head 2.13")));
}

TEST(HeadPairs, TheBestOfNeighboursAreThoseOfTheTable) {
  SimilarityTable::Sums sums;
  sums.texts = 1;
  // Heads 0 and 1 are layer 1, 2 and 3 layer 2, 4 and 5 layer 3; pairs row by row.
  for (const int hundredths : {10, 20, 30, 90, 90, 10, 50, 10, 10, 10, 40, 60, 70, 20, 10}) {
    const std::uint64_t value = (std::uint64_t{1} << 32) * hundredths / 100;
    sums.similarities.push_back(value);
    sums.squares.push_back(absl::uint128(value) * value);
  }
  const auto table = SimilarityTable::FromSums(3, 2, sums);
  ASSERT_OK(table);
  // Of layers 1 and 2 heads 1 and 3, with 50; of layers 2 and 3 heads 3 and 4, with 70.
  EXPECT_THAT(BestNeighbourPairs(*table),
              ElementsAre(HeadPair{{1, 1}, {0, 1}}, HeadPair{{2, 0}, {1, 1}}));
  EXPECT_THAT(BestNeighbourPairs(SimilarityTable(1, 2)), ElementsAre());
}

}  // namespace
}  // namespace reprise::engine::analysis
