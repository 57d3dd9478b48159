// The generators against the paper's algorithm acted out, its closed form, and its worked maps.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/reuse/reuse_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/source_map.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A layer's sources as "l.h", counted from 1 as in the paper, "*" where the head computes its own.
std::vector<std::string> Names(const ReusePlan& plan, int layer_from_1) {
  std::vector<std::string> names;
  const int layer = layer_from_1 - 1;
  for (int head = 0; head < plan.num_heads(); ++head) {
    const HeadRef source = plan.source(layer, head);
    names.push_back(std::to_string(source.layer + 1) + "." + std::to_string(source.head + 1) +
                    (plan.is_computed(layer, head) ? "*" : ""));
  }
  return names;
}

void ExpectEqualsReference(const ReusePlan& plan, const reference::SourceMap& map) {
  ASSERT_EQ(plan.num_layers(), static_cast<int>(map.source.size()));
  for (int layer = 0; layer < plan.num_layers(); ++layer) {
    ASSERT_EQ(plan.has_attention(layer), map.has_attention[layer]) << "layer " << layer;
    if (!plan.has_attention(layer)) continue;
    for (int head = 0; head < plan.num_heads(); ++head) {
      const reference::HeadRef expected = reference::Resolve(map, {layer, head});
      ASSERT_EQ(plan.source(layer, head), (HeadRef{expected.layer, expected.head}))
          << "layer " << layer << " head " << head;
    }
    ASSERT_EQ(plan.computed_heads(layer), reference::ComputedHeads(map, layer));
  }
}

// The closed form of Algorithm 1; layer l counts from 1, head j from 0.
HeadRef ClosedForm(int l, int j, int num_heads, int reused_heads, int reuse_layers) {
  const int new_heads = num_heads - reused_heads;
  if (l == 1 || l > reuse_layers + 1) return {l - 1, j};
  if (j < (l - 1) * new_heads) return {l - j / new_heads - 1, j % new_heads};
  return {0, j - (l - 1) * new_heads};
}

// Calls `check` for all L <= 14, H <= 16, 1 <= P < L, 0 <= K <= H; returns the number of cases.
template <typename Check>
int ForEachProposedPlan(Check check) {
  int cases = 0;
  for (int num_layers = 1; num_layers <= 14; ++num_layers) {
    for (int num_heads = 1; num_heads <= 16; ++num_heads) {
      for (int reuse_layers = 1; reuse_layers < num_layers; ++reuse_layers) {
        for (int reused_heads = 0; reused_heads <= num_heads; ++reused_heads) {
          const auto plan = ReusePlan::Proposed(num_layers, num_heads, reused_heads, reuse_layers);
          EXPECT_OK(plan);
          check(*plan, reused_heads, reuse_layers);
          ++cases;
          if (::testing::Test::HasFailure()) return cases;
        }
      }
    }
  }
  return cases;
}

TEST(ProposedPlanTest, EqualsAlgorithmOneActedOut) {
  const int cases = ForEachProposedPlan([](const ReusePlan& plan, int heads, int layers) {
    SCOPED_TRACE(plan.name());
    ExpectEqualsReference(
        plan, reference::ProposedMap(plan.num_layers(), plan.num_heads(), heads, layers));
  });
  EXPECT_EQ(cases, 13832);
}

TEST(ProposedPlanTest, EqualsTheClosedForm) {
  ForEachProposedPlan([](const ReusePlan& plan, int heads, int layers) {
    for (int l = 1; l <= plan.num_layers(); ++l) {
      for (int j = 0; j < plan.num_heads(); ++j) {
        ASSERT_EQ(plan.source(l - 1, j), ClosedForm(l, j, plan.num_heads(), heads, layers))
            << plan.name() << " layer " << l << " head " << j;
      }
    }
  });
}

TEST(ProposedPlanTest, LastReadersFollowTheClosedForm) {
  ForEachProposedPlan([](const ReusePlan& plan, int heads, int layers) {
    const int new_heads = plan.num_heads() - heads;
    for (int a = 1; a <= layers + 1; ++a) {
      for (int r : plan.computed_heads(a - 1)) {
        const int expected = new_heads == 0
                                 ? layers + 1
                                 : std::min(layers + 1, a + (plan.num_heads() - 1 - r) / new_heads);
        ASSERT_EQ(plan.last_reader(a - 1, r) + 1, expected) << plan.name();
      }
    }
  });
}

TEST(ProposedPlanTest, KeepsExactlyAsManyMatricesAliveAsThereAreHeads) {
  ForEachProposedPlan([](const ReusePlan& plan, int, int) {
    ASSERT_EQ(plan.peak_live_matrices(), plan.num_heads()) << plan.name();
    ASSERT_LE(plan.num_score_slots(), plan.num_heads()) << plan.name();
  });
}

TEST(ProposedPlanTest, SavesOneMatrixPerReusedHead) {
  ForEachProposedPlan([](const ReusePlan& plan, int heads, int layers) {
    ASSERT_EQ(plan.num_reused_heads(), heads * layers) << plan.name();
  });
}

TEST(ProposedPlanTest, HalfOfTheHeadsReachesBackOneLayer) {
  const auto plan = ReusePlan::Proposed(5, 4, 2, 3);
  ASSERT_OK(plan);
  EXPECT_THAT(Names(*plan, 1), ElementsAre("1.1*", "1.2*", "1.3*", "1.4*"));
  EXPECT_THAT(Names(*plan, 2), ElementsAre("2.1*", "2.2*", "1.1", "1.2"));
  EXPECT_THAT(Names(*plan, 3), ElementsAre("3.1*", "3.2*", "2.1", "2.2"));
  EXPECT_THAT(Names(*plan, 4), ElementsAre("4.1*", "4.2*", "3.1", "3.2"));
  EXPECT_THAT(Names(*plan, 5), ElementsAre("5.1*", "5.2*", "5.3*", "5.4*"));
}

TEST(ProposedPlanTest, MoreThanHalfOfTheHeadsChainsBackFurther) {
  const auto plan = ReusePlan::Proposed(6, 4, 3, 4);
  ASSERT_OK(plan);
  EXPECT_THAT(Names(*plan, 2), ElementsAre("2.1*", "1.1", "1.2", "1.3"));
  EXPECT_THAT(Names(*plan, 3), ElementsAre("3.1*", "2.1", "1.1", "1.2"));
  EXPECT_THAT(Names(*plan, 4), ElementsAre("4.1*", "3.1", "2.1", "1.1"));
  EXPECT_THAT(Names(*plan, 5), ElementsAre("5.1*", "4.1", "3.1", "2.1"));
  EXPECT_THAT(Names(*plan, 6), ElementsAre("6.1*", "6.2*", "6.3*", "6.4*"));
}

TEST(ProposedPlanTest, AllHeadsReadLayerOne) {
  const auto plan = ReusePlan::Proposed(5, 4, 4, 3);
  ASSERT_OK(plan);
  for (int layer : {2, 3, 4}) {
    EXPECT_THAT(Names(*plan, layer), ElementsAre("1.1", "1.2", "1.3", "1.4"));
  }
  EXPECT_THAT(Names(*plan, 5), ElementsAre("5.1*", "5.2*", "5.3*", "5.4*"));
}

TEST(ProposedPlanTest, BertBaseWithSixOfTwelveHeads) {
  const auto plan = ReusePlan::Proposed(12, 12, 6, 10);
  ASSERT_OK(plan);
  for (int layer = 2; layer <= 11; ++layer) {
    std::vector<std::string> expected;
    for (int head = 1; head <= 6; ++head) {
      expected.push_back(std::to_string(layer) + "." + std::to_string(head) + "*");
    }
    for (int head = 1; head <= 6; ++head) {
      expected.push_back(std::to_string(layer - 1) + "." + std::to_string(head));
    }
    EXPECT_EQ(Names(*plan, layer), expected);
  }
  EXPECT_EQ(plan->num_score_slots(), 12);
  EXPECT_THAT(plan->groups(), ElementsAre(LayerRange{0, 10}, LayerRange{11, 11}));
}

TEST(ProposedPlanTest, NothingReusedIsTheExactPlan) {
  for (const auto& plan : {ReusePlan::Proposed(3, 4, 0, 2), ReusePlan::Proposed(3, 4, 4, 0)}) {
    ASSERT_OK(plan);
    EXPECT_EQ(plan->name(), "exact");
    EXPECT_EQ(*plan, *ReusePlan::Exact(3, 4));
  }
}

TEST(VariantPlanTest, EqualTheReferenceForEveryShape) {
  for (int num_layers = 1; num_layers <= 14; ++num_layers) {
    for (int num_heads : {1, 4, 12}) {
      for (int reuse_layers = 0; reuse_layers < num_layers; ++reuse_layers) {
        SCOPED_TRACE(::testing::Message() << num_layers << " layers, P = " << reuse_layers);
        if (reuse_layers <= num_layers / 2) {
          const auto plan = ReusePlan::Alternate(num_layers, num_heads, reuse_layers);
          ASSERT_OK(plan);
          ExpectEqualsReference(*plan,
                                reference::AlternateMap(num_layers, num_heads, reuse_layers));
        }
        if (reuse_layers >= 1 && reuse_layers <= num_layers - 2) {
          const auto plan = ReusePlan::AllEnd(num_layers, num_heads, reuse_layers);
          ASSERT_OK(plan);
          ExpectEqualsReference(*plan, reference::AllEndMap(num_layers, num_heads, reuse_layers));
        }
        const auto plan = ReusePlan::Skip(num_layers, num_heads, reuse_layers);
        ASSERT_OK(plan);
        ExpectEqualsReference(*plan, reference::SkipMap(num_layers, num_heads, reuse_layers));
      }
    }
  }
}

TEST(VariantPlanTest, AlternateReadsTheOddLayerBefore) {
  const auto plan = ReusePlan::Alternate(24, 16, 12);
  ASSERT_OK(plan);
  for (int layer = 2; layer <= 24; layer += 2) {
    EXPECT_THAT(plan->computed_heads(layer - 1), IsEmpty());
    EXPECT_EQ(plan->source(layer - 1, 5), (HeadRef{layer - 2, 5}));
  }
  EXPECT_EQ(plan->groups().size(), 12u);
}

TEST(VariantPlanTest, AllEndReadsOneLayerAndLeavesTheLastExact) {
  const auto plan = ReusePlan::AllEnd(24, 16, 12);
  ASSERT_OK(plan);
  for (int layer = 12; layer <= 23; ++layer) {
    EXPECT_EQ(plan->source(layer - 1, 3), (HeadRef{10, 3}));
  }
  EXPECT_TRUE(plan->is_computed(23, 3));
  EXPECT_TRUE(plan->is_computed(9, 3));
}

TEST(VariantPlanTest, SkippedLayersHaveNoHeads) {
  const auto plan = ReusePlan::Skip(24, 16, 12);
  ASSERT_OK(plan);
  for (int layer = 2; layer <= 13; ++layer) {
    EXPECT_FALSE(plan->has_attention(layer - 1));
    EXPECT_FALSE(plan->is_computed(layer - 1, 0));
    EXPECT_THAT(plan->computed_heads(layer - 1), IsEmpty());
  }
  EXPECT_EQ(plan->num_reused_heads(), 0);
  EXPECT_EQ(plan->num_score_slots(), 0);
}

}  // namespace
}  // namespace reprise::engine::reuse
