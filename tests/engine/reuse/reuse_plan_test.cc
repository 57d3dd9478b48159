// What a plan says of a table: small ones written out, and random ones whose score slots are played
// through.
#include "engine/reuse/reuse_plan.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using ::testing::ElementsAre;

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

}  // namespace
}  // namespace reprise::engine::reuse
