#include "engine/analysis/source_choice.h"

#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using reuse::HeadRef;
using reuse::ReusePlan;

// Random costs of all pairs.
class Costs {
 public:
  Costs(int all, int seed) : all_(all), values_(all * all) {
    std::mt19937 random(seed);
    for (double& value : values_) value = std::uniform_real_distribution<double>(0.1, 1)(random);
  }
  double operator()(int target, int source) const { return values_[target * all_ + source]; }
  double& at(int target, int source) { return values_[target * all_ + source]; }
  double Of(const ReusePlan& plan) const {
    double sum = 0;
    for (int head = 0; head < all_; ++head) {
      const HeadRef source = plan.source(head / plan.num_heads(), head % plan.num_heads());
      const int number = source.layer * plan.num_heads() + source.head;
      if (number != head) sum += (*this)(head, number);
    }
    return sum;
  }

 private:
  int all_;
  std::vector<double> values_;
};

// The cheapest choice of computed heads, each other head with its cheapest earlier one.
double LeastCost(int layers, int heads, int reused, const Costs& costs) {
  const int all = layers * heads;
  double least = std::numeric_limits<double>::infinity();
  for (unsigned set = 0; set < 1u << all; ++set) {  // of reusing heads
    if (__builtin_popcount(set) != reused || (set & ((1u << heads) - 1)) != 0) continue;
    double sum = 0;
    for (int head = 0; head < all; ++head) {
      if ((set >> head & 1) == 0) continue;
      double best = std::numeric_limits<double>::infinity();
      for (int source = 0; source < head / heads * heads; ++source) {
        if ((set >> source & 1) == 0) best = std::min(best, costs(head, source));
      }
      sum += best;
    }
    least = std::min(least, sum);
  }
  return least;
}

TEST(ChooseSources, IsCloseToTheCheapestOfAllTables) {
  double greedy = 0, least = 0;
  for (int seed = 0; seed < 20; ++seed) {
    const Costs costs(12, seed);
    for (int reused = 0; reused <= 8; ++reused) {
      const auto plan = ChooseSources(3, 4, reused, costs);
      ASSERT_OK(plan);
      EXPECT_EQ(plan->num_reused_heads(), reused);
      const double best = LeastCost(3, 4, reused, costs);
      EXPECT_GE(costs.Of(*plan), best - 1e-12);
      greedy += costs.Of(*plan);
      least += best;
    }
  }
  EXPECT_LT(greedy, 1.05 * least);
}

TEST(ChooseSources, ReadersOfAChangedHeadFindAnother) {
  Costs costs(6, 1);  // three layers of two heads
  for (int target = 2; target < 6; ++target) {
    for (int source = 0; source < 6; ++source) costs.at(target, source) = 1;
  }
  costs.at(4, 2) = 0;    // head 4 takes head 2 first,
  costs.at(2, 0) = 0.1;  // then head 2 takes head 0,
  costs.at(4, 1) = 0.2;  // and head 4 has to move to head 1
  const auto plan = ChooseSources(3, 2, 2, costs);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->source(1, 0), (HeadRef{0, 0}));
  EXPECT_EQ(plan->source(2, 0), (HeadRef{0, 1}));
}

TEST(ChooseSources, TooManyHeadsAreRefused) {
  const Costs costs(12, 1);
  for (const int reused : {-1, 9}) {
    EXPECT_THAT(ChooseSources(3, 4, reused, costs),
                testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                  ::testing::HasSubstr("expected 0 to 8")));
  }
}

}  // namespace
}  // namespace reprise::engine::analysis
