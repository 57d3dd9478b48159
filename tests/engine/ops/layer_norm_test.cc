#include "engine/ops/layer_norm.h"

#include <string>

#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/tolerance.h"

namespace reprise::engine::ops {
namespace {

using reference::AllClose;
using reference::Matrix;
using reference::Tolerance;

constexpr Tolerance kNorm = {1e-5,
                             1e-5};  // two fp32 passes over at most a few hundred numbers near 1
constexpr Tolerance kRoundedNorm = {1e-3, 4e-3};  // one bf16 rounding on top

Matrix Sum(const Matrix& a, const Matrix& b) {
  Matrix sum = a;
  for (std::size_t r = 0; r < a.size(); ++r) {
    for (std::size_t c = 0; c < a[r].size(); ++c) sum[r][c] += b[r][c];
  }
  return sum;
}

class LayerNormTest : public ::testing::TestWithParam<std::int64_t> {
 protected:
  static constexpr std::int64_t kRows = 37;

  std::int64_t columns() const { return GetParam(); }
  Matrix Random(float scale) { return RandomMatrix(kRows, columns(), scale, DType::kF32, random_); }
  LayerNormWeights Weights() const { return {gamma_, beta_, 1e-5f}; }
  std::vector<double> Doubles(const std::vector<float>& values) const {
    return {values.begin(), values.end()};
  }
  Matrix Normed(const Matrix& x) const {
    return reference::LayerNorm(x, Doubles(gamma_), Doubles(beta_), 1e-5);
  }
  MatrixView<float> View(std::vector<float>& values) const {
    return {values.data(), kRows, columns(), columns()};
  }

  std::mt19937 random_{11};
  device::ThreadTeam team_{{.threads = 2}};
  std::vector<float> gamma_ = Flat(RandomMatrix(1, GetParam(), 1.0f, DType::kF32, random_));
  std::vector<float> beta_ = Flat(RandomMatrix(1, GetParam(), 1.0f, DType::kF32, random_));
};

TEST_P(LayerNormTest, PostNormReplacesTheResidualStream) {
  const Matrix x = Random(1.0f), delta = Random(2.0f);
  std::vector<float> hidden = Flat(x);
  const PanelLayout layout = {columns(), 16, RoundedRows(kRows), DType::kF32};
  const memory::Buffer delta_buffer = InPanels(delta, layout);
  std::vector<BFloat16> operand(hidden.size());
  const LayerNormWeights weights = Weights();
  AddLayerNorm(team_, {.hidden = View(hidden),
                       .delta = delta_buffer.as<float>(),
                       .delta_layout = layout,
                       .norm = &weights,
                       .order = NormOrder::kPost,
                       .operand = operand.data(),
                       .operand_dtype = DType::kBF16});
  EXPECT_THAT(hidden, AllClose(Flat(Normed(Sum(x, delta))), kNorm));
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    ASSERT_EQ(operand[i], BFloat16::FromFloat(hidden[i])) << i;
  }
}

TEST_P(LayerNormTest, PreNormKeepsTheSumAndNormsTheOperand) {
  const Matrix x = Random(1.0f), delta = Random(2.0f);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    std::vector<float> hidden = Flat(x);
    const PanelLayout layout = PanelLayout::Dense(columns(), kRows, DType::kF32);
    const memory::Buffer delta_buffer = InPanels(delta, layout);
    const PanelLayout operand_layout = PanelLayout::Dense(columns(), kRows, dtype);
    const memory::Buffer operand = Allocate(operand_layout.bytes());
    const LayerNormWeights weights = Weights();
    AddLayerNorm(team_, {.hidden = View(hidden),
                         .delta = delta_buffer.as<float>(),
                         .delta_layout = layout,
                         .norm = &weights,
                         .order = NormOrder::kPre,
                         .operand = operand.data(),
                         .operand_dtype = dtype});
    EXPECT_THAT(hidden, AllClose(Flat(Sum(x, delta)), kNorm));
    EXPECT_THAT(FromPanels(operand, operand_layout, kRows),
                AllClose(Flat(Normed(Sum(x, delta))), dtype == DType::kF32 ? kNorm : kRoundedNorm));
  }
}

TEST_P(LayerNormTest, WithoutNormPreNormOnlyAdds) {
  const Matrix x = Random(1.0f), delta = Random(1.0f);
  std::vector<float> hidden = Flat(x);
  const PanelLayout layout = PanelLayout::Dense(columns(), kRows, DType::kF32);
  const memory::Buffer delta_buffer = InPanels(delta, layout);
  AddLayerNorm(team_, {.hidden = View(hidden),
                       .delta = delta_buffer.as<float>(),
                       .delta_layout = layout,
                       .order = NormOrder::kPre});
  EXPECT_THAT(hidden, AllClose(Flat(Sum(x, delta)), kNorm));
}

TEST_P(LayerNormTest, TheOperandMayBeTheResidualStream) {
  const Matrix x = Random(1.0f);
  std::vector<float> hidden = Flat(x);
  const LayerNormWeights weights = Weights();
  AddLayerNorm(team_, {.hidden = View(hidden),
                       .norm = &weights,
                       .order = NormOrder::kPost,
                       .operand = hidden.data(),
                       .operand_dtype = DType::kF32});
  EXPECT_THAT(hidden, AllClose(Flat(Normed(x)), kNorm));
}

INSTANTIATE_TEST_SUITE_P(Columns, LayerNormTest, ::testing::Values(2, 15, 16, 63, 384),
                         [](const auto& info) { return std::to_string(info.param); });

TEST(LayerNormRoundingTest, VectorsRoundLikeTheScalarAtEveryLength) {
  device::ThreadTeam team({.threads = 1});
  std::mt19937 random(3);
  for (std::int64_t columns = 1; columns <= 70; ++columns) {
    std::vector<float> hidden = Flat(RandomMatrix(1, columns, 1.0f, DType::kF32, random));
    const std::vector<float> gamma(columns, 1.0f), beta(columns, 0.25f);
    const LayerNormWeights weights = {gamma, beta, 1e-5f};
    std::vector<BFloat16> operand(columns);
    AddLayerNorm(team, {.hidden = {hidden.data(), 1, columns, columns},
                        .norm = &weights,
                        .order = NormOrder::kPost,
                        .operand = operand.data(),
                        .operand_dtype = DType::kBF16});
    for (std::int64_t c = 0; c < columns; ++c) {
      ASSERT_EQ(operand[c], BFloat16::FromFloat(hidden[c])) << columns << " " << c;
    }
  }
}

}  // namespace
}  // namespace reprise::engine::ops
