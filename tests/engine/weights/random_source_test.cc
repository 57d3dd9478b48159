#include "engine/weights/random_source.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

const std::vector<TensorSpec>& Specs() {
  static const auto& specs = *new std::vector<TensorSpec>{
      {"q.weight", {300, 400}},  {"k.weight", {300, 400}},
      {"q.bias", {400}},         {"x.LayerNorm.weight", {5}},
      {"x.LayerNorm.bias", {5}}, {"encoder.final_layer_norm.weight", {5}}};
  return specs;
}

std::vector<float> MustRead(const WeightSource& source, const std::string& name) {
  const auto shape = source.Shape(name);
  EXPECT_OK(shape);
  const auto values = source.Read(name, *shape);
  EXPECT_OK(values);
  return values.value_or(std::vector<float>());
}

TEST(RandomSourceTest, AWeightDoesNotDependOnWhatElseIsRead) {
  const RandomSource all(Specs(), 7);
  MustRead(all, "k.weight");
  const RandomSource one({Specs()[0]}, 7);
  EXPECT_EQ(MustRead(all, "q.weight"), MustRead(one, "q.weight"));
}

TEST(RandomSourceTest, SeedsAndNamesGiveDifferentWeights) {
  const RandomSource source(Specs(), 7);
  EXPECT_NE(MustRead(source, "q.weight"), MustRead(source, "k.weight"));
  EXPECT_NE(MustRead(source, "q.weight"), MustRead(RandomSource(Specs(), 8), "q.weight"));
}

TEST(RandomSourceTest, TheSameNumbersOnEveryMachine) {
  const std::vector<float> values = MustRead(RandomSource(Specs(), 7), "q.weight");
  // The sums of four 16-bit numbers less their mean, from a version of the generator in Python.
  const float scale = 0.02f / 37837.227f;
  EXPECT_FLOAT_EQ(values[0], 66431 * scale);
  EXPECT_FLOAT_EQ(values[1], 773 * scale);
  EXPECT_FLOAT_EQ(values[119999], 18348 * scale);
}

TEST(RandomSourceTest, MatricesAreBellShapedWithDeviationTwoHundredths) {
  const std::vector<float> values = MustRead(RandomSource(Specs(), 7), "q.weight");
  const double n = static_cast<double>(values.size());
  double sum = 0;
  double squares = 0;
  int within = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
    within += std::abs(value) <= 0.02f;
  }
  // Bounds of about four standard errors.
  EXPECT_NEAR(sum / n, 0.0, 2.5e-4);
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 1.6e-4);
  EXPECT_NEAR(within / n, 0.67, 0.02);  // 0.683 for a normal distribution, 0.577 for a uniform one
  EXPECT_LT(*std::ranges::max_element(values), 0.07f);
}

TEST(RandomSourceTest, BiasesAreNotZero) {
  const std::vector<float> bias = MustRead(RandomSource(Specs(), 7), "q.bias");
  EXPECT_EQ(std::ranges::count(bias, 0.0f), 0);
}

TEST(RandomSourceTest, LayerNormsScaleByOneAndShiftByZero) {
  const RandomSource source(Specs(), 7);
  EXPECT_THAT(MustRead(source, "x.LayerNorm.weight"), Each(1.0f));
  EXPECT_THAT(MustRead(source, "x.LayerNorm.bias"), Each(0.0f));
  EXPECT_THAT(MustRead(source, "encoder.final_layer_norm.weight"), Each(1.0f));
}

TEST(RandomSourceTest, HasOnlyTheTensorsItWasGiven) {
  const RandomSource source(Specs(), 7);
  EXPECT_FALSE(source.Contains("v.weight"));
  EXPECT_THAT(source.Shape("v.weight"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'v.weight'")));
  const std::int64_t other[] = {2};
  EXPECT_THAT(source.Read("q.bias", other),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'q.bias'"), HasSubstr("[400]; expected [2]"))));
}

}  // namespace
}  // namespace reprise::engine::weights
