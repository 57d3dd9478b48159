#include "engine/reuse/strategy_cost.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

constexpr GroupHeads kOneSourceTwoReaders = {.sources = 4, .others = 0, .reused = 8};

HeadTimes Times(std::int64_t seq_len, double compute, double stored, double kept, double read,
                double recompute) {
  return {seq_len, compute, stored, kept, read, recompute};
}

TEST(TimesAt, MeasuredLengthsAreThemselves) {
  const HeadTimesByLength measured = {Times(16, 5, 6, 7, 2, 4), Times(64, 80, 90, 100, 30, 70)};
  EXPECT_EQ(TimesAt(measured, 16), measured[0]);
  EXPECT_EQ(TimesAt(measured, 64), measured[1]);
}

TEST(TimesAt, ScaleWithTheSquareBeyondWhatWasMeasured) {
  const HeadTimesByLength measured = {Times(16, 16, 16, 16, 16, 16),
                                      Times(64, 80, 90, 100, 30, 70)};
  EXPECT_DOUBLE_EQ(TimesAt(measured, 128).read, 120);
  EXPECT_DOUBLE_EQ(TimesAt(measured, 8).compute, 4);
  EXPECT_EQ(TimesAt(measured, 128).seq_len, 128);
}

TEST(TimesAt, TimePerScoreFollowsALineOverTheLogarithm) {
  // 2 ns per score at 16 tokens, 1 at 64: at 32, halfway, 1.5.
  const HeadTimesByLength measured = {Times(16, 512, 1, 1, 1, 1), Times(64, 4096, 1, 1, 1, 1)};
  EXPECT_NEAR(TimesAt(measured, 32).compute, 1.5 * 32 * 32, 1e-9);
}

TEST(CountHeads, TellsSourcesFromHeadsThatNobodyReads) {
  // Layers 2 and 3 (of 4, 1-based) reuse 2 of 3 heads.
  const ReusePlan plan = *ReusePlan::Proposed(4, 3, 2, 2);
  ASSERT_EQ(plan.groups().front(), (LayerRange{0, 2}));
  // Layer 1 has 3 heads, of which 2 are read; layers 2 and 3 add a new one each, and layer 3 reads
  // the one of layer 2.
  EXPECT_EQ(CountHeads(plan, {0, 2}), (GroupHeads{.sources = 3, .others = 2, .reused = 4}));
  EXPECT_EQ(CountHeads(plan, {3, 3}), (GroupHeads{.sources = 0, .others = 3, .reused = 0}));
}

TEST(CountHeads, LeavesLayersWithoutAttentionOut) {
  const ReusePlan plan = *ReusePlan::Skip(3, 2, 1);
  for (const LayerRange& group : plan.groups()) {
    EXPECT_EQ(CountHeads(plan, group).reused, 0);
    const int with_attention = plan.has_attention(group.first) ? 2 : 0;
    EXPECT_EQ(CountHeads(plan, group).others, with_attention);
  }
}

TEST(GroupNanoseconds, AddsUpWhatEachHeadDoes) {
  const GroupHeads heads = {.sources = 2, .others = 3, .reused = 5};
  const HeadTimes times = Times(64, 100, 110, 105, 40, 90);
  EXPECT_EQ(GroupNanoseconds(Strategy::kStored, heads, times), 300 + 220 + 200);
  EXPECT_EQ(GroupNanoseconds(Strategy::kRecompute, heads, times), 300 + 210 + 450);
  EXPECT_EQ(GroupNanoseconds(Strategy::kFused, heads, times), 300 + 210 + 500);
}

TEST(CheapestStrategy, IsTheOneOfTheLeastTime) {
  EXPECT_EQ(CheapestStrategy(kOneSourceTwoReaders, Times(64, 100, 110, 102, 40, 90), {}),
            Strategy::kStored);
  EXPECT_EQ(CheapestStrategy(kOneSourceTwoReaders, Times(64, 100, 400, 102, 40, 90), {}),
            Strategy::kRecompute);
  EXPECT_EQ(CheapestStrategy(kOneSourceTwoReaders, Times(64, 100, 400, 102, 40, 150), {}),
            Strategy::kFused);
}

TEST(CheapestStrategy, DependsOnHowManyReadersShareTheStoring) {
  const HeadTimes dear_to_store = Times(4096, 100, 170, 102, 45, 95);
  EXPECT_EQ(CheapestStrategy({.sources = 4, .others = 0, .reused = 4}, dear_to_store, {}),
            Strategy::kRecompute);
  EXPECT_EQ(CheapestStrategy({.sources = 4, .others = 0, .reused = 8}, dear_to_store, {}),
            Strategy::kStored);
}

TEST(CheapestStrategy, KeepsToWhatIsAllowed) {
  const HeadTimes times = Times(64, 100, 110, 102, 40, 90);
  EXPECT_EQ(CheapestStrategy(kOneSourceTwoReaders, times, {.stored = false}), Strategy::kRecompute);
  EXPECT_EQ(CheapestStrategy(kOneSourceTwoReaders, times, {.stored = false, .recompute = false}),
            Strategy::kFused);
}

TEST(CheapestStrategy, DifferencesWithinTheNoiseLeaveTheFirst) {
  EXPECT_EQ(CheapestStrategy(kOneSourceTwoReaders, Times(64, 100, 100, 100, 99.5, 99), {}),
            Strategy::kStored);
}

TEST(CheapestStrategy, IsNoneWhereNothingIsReused) {
  EXPECT_EQ(
      CheapestStrategy({.sources = 0, .others = 12, .reused = 0}, Times(64, 1, 1, 1, 1, 1), {}),
      Strategy::kNone);
}

}  // namespace
}  // namespace reprise::engine::reuse
