// The maps that can be written down by hand, and the reading of Algorithm 1 they must agree with.
#include "tests/reference/source_map.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reprise::reference {
namespace {

using ::testing::ElementsAre;

// A layer's sources as "l.h", 1-based as in the paper, "*" where the head computes its own.
std::vector<std::string> Names(const SourceMap& map, int layer_1_based) {
  std::vector<std::string> names;
  const int layer = layer_1_based - 1;
  for (int head = 0; head < static_cast<int>(map.source[layer].size()); ++head) {
    const HeadRef source = map.source[layer][head];
    const bool own = source == HeadRef{layer, head};
    names.push_back(std::to_string(source.layer + 1) + "." + std::to_string(source.head + 1) +
                    (own ? "*" : ""));
  }
  return names;
}

TEST(SourceMapTest, HalfOfTheHeadsReachesBackOneLayer) {
  const SourceMap map = ProposedMap(/*num_layers=*/5, /*num_heads=*/4, /*K=*/2, /*P=*/3);
  EXPECT_THAT(Names(map, 1), ElementsAre("1.1*", "1.2*", "1.3*", "1.4*"));
  EXPECT_THAT(Names(map, 2), ElementsAre("2.1*", "2.2*", "1.1", "1.2"));
  EXPECT_THAT(Names(map, 3), ElementsAre("3.1*", "3.2*", "2.1", "2.2"));
  EXPECT_THAT(Names(map, 4), ElementsAre("4.1*", "4.2*", "3.1", "3.2"));
  EXPECT_THAT(Names(map, 5), ElementsAre("5.1*", "5.2*", "5.3*", "5.4*"));
}

TEST(SourceMapTest, MoreThanHalfOfTheHeadsChainsFurtherBack) {
  const SourceMap map = ProposedMap(6, 4, 3, 4);
  EXPECT_THAT(Names(map, 2), ElementsAre("2.1*", "1.1", "1.2", "1.3"));
  EXPECT_THAT(Names(map, 3), ElementsAre("3.1*", "2.1", "1.1", "1.2"));
  EXPECT_THAT(Names(map, 4), ElementsAre("4.1*", "3.1", "2.1", "1.1"));
  EXPECT_THAT(Names(map, 5), ElementsAre("5.1*", "4.1", "3.1", "2.1"));
  EXPECT_THAT(Names(map, 6), ElementsAre("6.1*", "6.2*", "6.3*", "6.4*"));
}

TEST(SourceMapTest, AllHeadsReusedReadTheFirstLayer) {
  const SourceMap map = ProposedMap(5, 4, 4, 3);
  for (int l = 2; l <= 4; ++l) EXPECT_THAT(Names(map, l), ElementsAre("1.1", "1.2", "1.3", "1.4"));
  EXPECT_THAT(Names(map, 5), ElementsAre("5.1*", "5.2*", "5.3*", "5.4*"));
}

TEST(SourceMapTest, BertBaseWithSixHeadsInTenLayers) {
  const SourceMap map = ProposedMap(12, 12, 6, 10);
  for (int l = 2; l <= 11; ++l) {
    for (int head = 0; head < 6; ++head) {
      EXPECT_EQ(map.source[l - 1][head], (HeadRef{l - 1, head}));
      EXPECT_EQ(map.source[l - 1][head + 6], (HeadRef{l - 2, head}));
    }
  }
  EXPECT_EQ(map.source[11], ExactMap(12, 12).source[11]);
}

TEST(SourceMapTest, ComputesLayersTimesHeadsLessTheReusedOnes) {
  for (int num_layers = 1; num_layers <= 14; ++num_layers) {
    for (int num_heads = 1; num_heads <= 16; ++num_heads) {
      for (int reused = 0; reused <= num_heads; ++reused) {
        for (int reuse_layers = 0; reuse_layers < num_layers; ++reuse_layers) {
          const SourceMap map = ProposedMap(num_layers, num_heads, reused, reuse_layers);
          std::size_t computed = 0;
          for (int layer = 0; layer < num_layers; ++layer) {
            computed += ComputedHeads(map, layer).size();
          }
          ASSERT_EQ(computed, num_layers * num_heads - reuse_layers * reused);
        }
      }
    }
  }
}

TEST(SourceMapTest, NoReusedHeadsIsTheExactMap) {
  for (int reuse_layers = 0; reuse_layers < 6; ++reuse_layers) {
    EXPECT_EQ(ProposedMap(6, 5, 0, reuse_layers), ExactMap(6, 5));
  }
}

TEST(SourceMapTest, AlternateTakesEachEvenLayerFromTheOneBefore) {
  const SourceMap map = AlternateMap(/*num_layers=*/5, /*num_heads=*/2, /*P=*/2);
  EXPECT_THAT(Names(map, 1), ElementsAre("1.1*", "1.2*"));
  EXPECT_THAT(Names(map, 2), ElementsAre("1.1", "1.2"));
  EXPECT_THAT(Names(map, 3), ElementsAre("3.1*", "3.2*"));
  EXPECT_THAT(Names(map, 4), ElementsAre("3.1", "3.2"));
  EXPECT_THAT(Names(map, 5), ElementsAre("5.1*", "5.2*"));
}

TEST(SourceMapTest, AllEndReusesJustBeforeTheLastLayer) {
  const SourceMap map = AllEndMap(/*num_layers=*/24, /*num_heads=*/2, /*P=*/12);
  for (int l = 1; l <= 11; ++l) EXPECT_EQ(map.source[l - 1], ExactMap(24, 2).source[l - 1]);
  for (int l = 12; l <= 23; ++l) EXPECT_THAT(Names(map, l), ElementsAre("11.1", "11.2"));
  EXPECT_THAT(Names(map, 24), ElementsAre("24.1*", "24.2*"));
}

TEST(SourceMapTest, SkipRemovesAttentionFromTheSecondLayerOn) {
  const SourceMap map = SkipMap(/*num_layers=*/5, /*num_heads=*/2, /*P=*/3);
  EXPECT_THAT(map.has_attention, ElementsAre(true, false, false, false, true));
  EXPECT_TRUE(ComputedHeads(map, 2).empty());
}

TEST(SourceMapTest, ResolveFollowsAChainToItsComputingHead) {
  SourceMap map = ExactMap(4, 3);
  map.source[1][2] = {0, 1};
  map.source[2][0] = {1, 2};
  map.source[3][1] = {2, 0};
  EXPECT_EQ(Resolve(map, {3, 1}), (HeadRef{0, 1}));
  EXPECT_EQ(Resolve(map, {3, 0}), (HeadRef{3, 0}));
  EXPECT_THAT(ComputedHeads(map, 3), ElementsAre(0, 2));
}

}  // namespace
}  // namespace reprise::reference
