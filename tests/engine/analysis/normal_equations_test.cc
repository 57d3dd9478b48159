#include "engine/analysis/normal_equations.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/random_model.h"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using reference::Random;

constexpr int kInputs = 5, kOutputs = 3;

struct Rows {
  Rows(int count, Random& random) : count(count) {
    for (int i = 0; i < count * kInputs; ++i) {
      x.push_back(static_cast<float>(2 + random.Normal(1)));  // means that are not 0
    }
    for (int i = 0; i < count * kOutputs; ++i) y.push_back(static_cast<float>(random.Normal(1)));
  }
  MatrixView<const float> inputs(int first, int end) const {
    return {x.data() + first * kInputs, end - first, kInputs, kInputs};
  }
  MatrixView<const float> targets(int first, int end) const {
    return {y.data() + first * kOutputs, end - first, kOutputs, kOutputs};
  }
  int count;
  std::vector<float> x, y;
};

// Sum of |x W + b - y|^2 + r |W - prior|^2, r as documented.
double Objective(const Rows& rows, const AffineMap& map, const std::vector<double>& prior,
                 double ridge) {
  double sum = 0, spread = 0;
  for (int in = 0; in < kInputs; ++in) {
    double mean = 0;
    for (int row = 0; row < rows.count; ++row)
      mean += double{rows.x[row * kInputs + in]} / rows.count;
    for (int row = 0; row < rows.count; ++row) {
      const double away = rows.x[row * kInputs + in] - mean;
      spread += away * away / kInputs;
    }
  }
  for (int row = 0; row < rows.count; ++row) {
    for (int out = 0; out < kOutputs; ++out) {
      double error = map.bias[out] - rows.y[row * kOutputs + out];
      for (int in = 0; in < kInputs; ++in) {
        error += rows.x[row * kInputs + in] * map.weight[in * kOutputs + out];
      }
      sum += error * error;
    }
  }
  for (std::size_t i = 0; i < prior.size(); ++i) {
    sum += ridge * spread * (map.weight[i] - prior[i]) * (map.weight[i] - prior[i]);
  }
  return sum;
}

class NormalEquationsTest : public ::testing::TestWithParam<double> {
 protected:
  Random random_{17};
  std::vector<double> Prior() {
    std::vector<double> prior;
    for (int i = 0; i < kInputs * kOutputs; ++i) prior.push_back(random_.Normal(1));
    return prior;
  }
};
INSTANTIATE_TEST_SUITE_P(Ridges, NormalEquationsTest, ::testing::Values(0.0, 0.1, 3.0));

TEST_P(NormalEquationsTest, NoOtherMapIsBetter) {
  const Rows rows(700, random_);  // more than are summed up at once
  const std::vector<double> prior = Prior();
  NormalEquations equations(kInputs, kOutputs);
  equations.Add(rows.inputs(0, 300), rows.targets(0, 300));
  equations.Add(rows.inputs(300, 700), rows.targets(300, 700));
  EXPECT_EQ(equations.rows(), 700);
  auto map = equations.Solve(prior, GetParam());
  ASSERT_OK(map);
  const double least = Objective(rows, *map, prior, GetParam());
  // The objective is convex: a point that no step along an axis improves is its least.
  for (const double step : {1e-3, -1e-3}) {
    for (double& weight : map->weight) {
      weight += step;
      EXPECT_GT(Objective(rows, *map, prior, GetParam()), least);
      weight -= step;
    }
    for (double& bias : map->bias) {
      bias += step;
      EXPECT_GT(Objective(rows, *map, prior, GetParam()), least);
      bias -= step;
    }
  }
}

TEST_P(NormalEquationsTest, SumsOfTwoAreTheSumOfBoth) {
  const Rows rows(500, random_);
  const std::vector<double> prior = Prior();
  NormalEquations all(kInputs, kOutputs), first(kInputs, kOutputs), second(kInputs, kOutputs);
  all.Add(rows.inputs(0, 500), rows.targets(0, 500));
  first.Add(rows.inputs(0, 123), rows.targets(0, 123));
  second.Add(rows.inputs(123, 500), rows.targets(123, 500));
  first.Merge(second);
  EXPECT_EQ(first.rows(), 500);
  const auto expected = all.Solve(prior, GetParam()), found = first.Solve(prior, GetParam());
  ASSERT_OK(expected);
  ASSERT_OK(found);
  for (std::size_t i = 0; i < expected->weight.size(); ++i) {
    EXPECT_NEAR(found->weight[i], expected->weight[i], 1e-5);  // fp32 products
  }
}

TEST(NormalEquations, AnExactMapIsFound) {
  Random random{5};
  Rows rows(400, random);
  for (int row = 0; row < rows.count; ++row) {
    for (int out = 0; out < kOutputs; ++out) {
      float value = static_cast<float>(out);
      for (int in = 0; in < kInputs; ++in) value += (in - out) * rows.x[row * kInputs + in];
      rows.y[row * kOutputs + out] = value;
    }
  }
  NormalEquations equations(kInputs, kOutputs);
  equations.Add(rows.inputs(0, 400), rows.targets(0, 400));
  const auto map = equations.Solve(std::vector<double>(kInputs * kOutputs), 0);
  ASSERT_OK(map);
  for (int in = 0; in < kInputs; ++in) {
    for (int out = 0; out < kOutputs; ++out) {
      EXPECT_NEAR(map->weight[in * kOutputs + out], in - out, 1e-4);
    }
  }
  for (int out = 0; out < kOutputs; ++out) EXPECT_NEAR(map->bias[out], out, 1e-3);
}

TEST(NormalEquations, RowsThatTellNothingAreRefusedWithoutARidge) {
  const std::vector<float> x(kInputs, 1), y(kOutputs, 1);
  NormalEquations equations(kInputs, kOutputs);
  equations.Add({x.data(), 1, kInputs, kInputs}, {y.data(), 1, kOutputs, kOutputs});
  EXPECT_THAT(equations.Solve(std::vector<double>(kInputs * kOutputs), 0),
              testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                ::testing::HasSubstr("more text or a larger ridge")));
}

}  // namespace
}  // namespace reprise::engine::analysis
