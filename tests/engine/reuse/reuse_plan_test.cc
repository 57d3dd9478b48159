// Plans against the paper's algorithm acted out, its worked maps, and a cache that is played
// through.
#include "engine/reuse/reuse_plan.h"

#include <algorithm>
#include <climits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/source_map.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

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

TEST(ReusePlanTest, NamesSayTheGenerator) {
  EXPECT_EQ(ReusePlan::Exact(12, 12)->name(), "exact");
  EXPECT_EQ(ReusePlan::Proposed(12, 12, 12, 6)->name(), "12x6");
  EXPECT_EQ(ReusePlan::Alternate(24, 16, 12)->name(), "alternate-12");
  EXPECT_EQ(ReusePlan::AllEnd(12, 12, 6)->name(), "all_end-6");
  EXPECT_EQ(ReusePlan::Skip(12, 12, 6)->name(), "skip-6");
  EXPECT_EQ(ReusePlan::FromTable({{{0, 0}}, {{0, 0}}}, {true, true})->name(), "table");
  EXPECT_EQ(ReusePlan::FromTable({{{0, 0}}, {{1, 0}}}, {true, true})->name(), "exact");
}

TEST(ReusePlanTest, AnExactPlanStoresNothing) {
  const auto plan = ReusePlan::Exact(3, 4);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->num_score_slots(), 0);
  EXPECT_EQ(plan->peak_live_matrices(), 4);
  EXPECT_EQ(plan->score_slot(0, 0), -1);
  EXPECT_EQ(plan->last_reader(1, 2), 1);
  EXPECT_THAT(plan->groups(), ElementsAre(LayerRange{0, 0}, LayerRange{1, 1}, LayerRange{2, 2}));
}

TEST(ReusePlanTest, ChainsResolveToTheComputingHead) {
  // [3, 1] -> [2, 0] -> [1, 1] -> [0, 0], over a layer whose other head computes.
  const auto plan = ReusePlan::FromTable(
      {{{0, 0}, {0, 1}}, {{1, 0}, {0, 0}}, {{1, 1}, {2, 1}}, {{3, 0}, {2, 0}}}, {1, 1, 1, 1});
  ASSERT_OK(plan);
  EXPECT_EQ(plan->source(3, 1), (HeadRef{0, 0}));
  EXPECT_EQ(plan->last_reader(0, 0), 3);
  EXPECT_EQ(plan->last_reader(1, 1), -1);
  EXPECT_EQ(plan->score_slot(1, 1), -1);
}

TEST(ReusePlanTest, EqualTablesAreEqualPlansHoweverWritten) {
  const auto generated = ReusePlan::Proposed(3, 2, 2, 2);
  const auto table =
      ReusePlan::FromTable({{{0, 0}, {0, 1}}, {{0, 0}, {0, 1}}, {{1, 0}, {1, 1}}}, {1, 1, 1});
  ASSERT_OK(table);
  EXPECT_EQ(*generated, *table);
  EXPECT_FALSE(*generated == *ReusePlan::Exact(3, 2));
}

TEST(ReusePlanTest, RowsOfLayersWithoutAttentionAreIgnored) {
  const auto plan =
      ReusePlan::FromTable({{{0, 0}}, {{9, 9}, {-1, 7}}, {}, {{0, 0}}}, {true, false, false, true});
  ASSERT_OK(plan);
  EXPECT_EQ(plan->num_reused_heads(), 1);
  EXPECT_EQ(*plan, *ReusePlan::FromTable({{{0, 0}}, {}, {}, {{0, 0}}}, {1, 0, 0, 1}));
}

TEST(ReusePlanTest, LayersWithoutAttentionStayInsideTheGroupAroundThem) {
  const auto plan =
      ReusePlan::FromTable({{}, {{1, 0}}, {}, {{1, 0}}, {}}, {false, true, false, true, false});
  ASSERT_OK(plan);
  EXPECT_THAT(plan->groups(), ElementsAre(LayerRange{0, 0}, LayerRange{1, 3}, LayerRange{4, 4}));
}

TEST(ReusePlanTest, ASlotPassesOnOnlyFromTheNextLayer) {
  // [0, 0] is read for the last time in layer 1, where [1, 0] is computed for layer 2.
  const auto plan = ReusePlan::FromTable(
      {{{0, 0}, {0, 1}}, {{1, 0}, {0, 0}}, {{2, 0}, {1, 0}}, {{2, 0}, {3, 1}}}, {1, 1, 1, 1});
  ASSERT_OK(plan);
  EXPECT_EQ(plan->score_slot(0, 0), 0);
  EXPECT_EQ(plan->score_slot(0, 1), -1);
  EXPECT_EQ(plan->score_slot(1, 0), 1);
  EXPECT_EQ(plan->score_slot(2, 0), 0);
  EXPECT_EQ(plan->num_score_slots(), 2);
}

// Free tables: --------------------------------------------------------------------------------

ReusePlan RandomTable(std::mt19937& random) {
  const auto below = [&](int bound) {
    return static_cast<int>(random() % static_cast<unsigned>(bound));
  };
  const int num_layers = 1 + below(16);
  const int num_heads = 1 + below(16);
  SourceTable source(num_layers);
  std::vector<bool> has_attention(num_layers);
  std::vector<int> sources;  // layers that may be read
  const int only = below(num_layers);
  for (int layer = 0; layer < num_layers; ++layer) {
    has_attention[layer] = layer == only || below(8) != 0;
    if (!has_attention[layer]) continue;
    for (int head = 0; head < num_heads; ++head) {
      const bool computed = sources.empty() || below(2) == 0;
      source[layer].push_back(
          computed ? HeadRef{layer, head}
                   : HeadRef{sources[below(static_cast<int>(sources.size()))], below(num_heads)});
    }
    sources.push_back(layer);
  }
  auto plan = ReusePlan::FromTable(source, has_attention);
  EXPECT_OK(plan);
  return *plan;
}

template <typename Check>
void ForManyRandomTables(Check check) {
  std::mt19937 random(20211013);
  for (int repeat = 0; repeat < 2000 && !::testing::Test::HasFailure(); ++repeat) {
    SCOPED_TRACE(::testing::Message() << "random table " << repeat);
    check(RandomTable(random));
  }
}

TEST(RandomTableTest, EveryReaderFindsItsSourceInTheSlotThroughoutItsLayer) {
  ForManyRandomTables([](const ReusePlan& plan) {
    std::vector<HeadRef> slots(plan.num_score_slots(), HeadRef{-1, -1});
    for (int layer = 0; layer < plan.num_layers(); ++layer) {
      const std::vector<HeadRef> before = slots;
      for (int head : plan.computed_heads(layer)) {
        const int slot = plan.score_slot(layer, head);
        if (slot >= 0) slots.at(slot) = {layer, head};
      }
      if (!plan.has_attention(layer)) continue;
      for (int head = 0; head < plan.num_heads(); ++head) {
        if (plan.is_computed(layer, head)) continue;
        const HeadRef source = plan.source(layer, head);
        const int slot = plan.score_slot(source.layer, source.head);
        ASSERT_GE(slot, 0);
        ASSERT_EQ(before.at(slot), source);
        ASSERT_EQ(slots.at(slot), source);
      }
    }
  });
}

TEST(RandomTableTest, ThereAreAsManySlotsAsStoredMatricesAliveAtOnce) {
  ForManyRandomTables([](const ReusePlan& plan) {
    int most_stored = 0;
    int most_alive = 0;
    for (int now = 0; now < plan.num_layers(); ++now) {
      int stored = 0;
      int alive = 0;
      for (int layer = 0; layer <= now; ++layer) {
        for (int head : plan.computed_heads(layer)) {
          const int last = plan.last_reader(layer, head);
          alive += last >= now;
          stored += last >= now && last > layer;
        }
      }
      most_stored = std::max(most_stored, stored);
      most_alive = std::max(most_alive, alive);
    }
    ASSERT_EQ(plan.num_score_slots(), most_stored);
    ASSERT_EQ(plan.peak_live_matrices(), most_alive);
  });
}

TEST(RandomTableTest, HeadsThatNoLaterLayerReadsAreNotStored) {
  ForManyRandomTables([](const ReusePlan& plan) {
    for (int layer = 0; layer < plan.num_layers(); ++layer) {
      for (int head = 0; head < plan.num_heads(); ++head) {
        const bool read_later = plan.last_reader(layer, head) > layer;
        ASSERT_EQ(plan.score_slot(layer, head) >= 0, read_later);
      }
    }
  });
}

TEST(RandomTableTest, GroupsPartitionTheLayersAndCannotBeSplit) {
  ForManyRandomTables([](const ReusePlan& plan) {
    // cut[l]: some reader at or after layer l has its source before it.
    std::vector<bool> crossed(plan.num_layers() + 1, false);
    for (int layer = 0; layer < plan.num_layers(); ++layer) {
      if (!plan.has_attention(layer)) continue;
      for (int head = 0; head < plan.num_heads(); ++head) {
        for (int l = plan.source(layer, head).layer + 1; l <= layer; ++l) crossed[l] = true;
      }
    }
    int next = 0;
    for (const LayerRange& group : plan.groups()) {
      ASSERT_EQ(group.first, next);
      ASSERT_FALSE(crossed[group.first]);
      for (int l = group.first + 1; l <= group.last; ++l) ASSERT_TRUE(crossed[l]);
      next = group.last + 1;
    }
    ASSERT_EQ(next, plan.num_layers());
  });
}

// Errors: -------------------------------------------------------------------------------------

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
