#include "engine/cuda/rows.h"

#include <cmath>
#include <random>
#include <vector>

#include "engine/tensor/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/cuda/device_array.h"
#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/ops.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"

namespace reprise::engine::cuda {
namespace {

using architectures::Activation;
using ops::Flat;
using ops::RandomMatrix;
using reference::AllClose;
using reference::Matrix;

// Normalised values are at most around 5; bf16 rounds by 2^-9 of that.
constexpr reference::Tolerance kBf16 = {0.004, 0.004};
// Sums of up to 4096 products in fp32, of magnitude 64.
constexpr reference::Tolerance kSmallDense = {1e-4, 1e-5};
constexpr double kEps = 1e-5;

DeviceArray<std::uint16_t> Bits(const Matrix& matrix) {
  std::vector<std::uint16_t> bits;
  for (const float value : Flat(matrix)) bits.push_back(BFloat16::FromFloat(value).bits);
  return DeviceArray(bits);
}
DeviceArray<float> OnDevice(const Matrix& matrix) { return DeviceArray(Flat(matrix)); }
std::vector<float> Floats(const DeviceArray<std::uint16_t>& bits) {
  std::vector<float> values;
  for (const std::uint16_t value : bits.Values()) values.push_back(BFloat16{value}.ToFloat());
  return values;
}
std::vector<double> Doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

Matrix Sum(const Matrix& a, const Matrix& b) {
  Matrix sum = a;
  for (std::size_t row = 0; row < a.size(); ++row) {
    for (std::size_t column = 0; column < a[row].size(); ++column)
      sum[row][column] += b[row][column];
  }
  return sum;
}

// Hidden sizes for every number of chunks that a lane may hold, with idle lanes and without.
class CudaRowsTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    REPRISE_SKIP_WITHOUT_GPU();
    device_gamma_ = DeviceArray(gamma_);
    device_beta_ = DeviceArray(beta_);
  }
  static constexpr int kRows = 7;  // not a multiple of a block's
  int hidden() const { return GetParam(); }
  Matrix Random(int rows, int columns, DType dtype) {
    return RandomMatrix(rows, columns, 1.0f, dtype, random_);
  }
  NormWeights norm() const { return {device_gamma_.data(), device_beta_.data(), kEps}; }
  Matrix Normed(const Matrix& x) const {
    return reference::LayerNorm(x, Doubles(gamma_), Doubles(beta_), kEps);
  }
  std::mt19937 random_{3};
  std::vector<float> gamma_ = Flat(RandomMatrix(1, GetParam(), 1.0f, DType::kF32, random_));
  std::vector<float> beta_ = Flat(RandomMatrix(1, GetParam(), 1.0f, DType::kF32, random_));
  DeviceArray<float> device_gamma_, device_beta_;
};
INSTANTIATE_TEST_SUITE_P(HiddenSizes, CudaRowsTest,
                         ::testing::Values(8, 64, 200, 264, 768, 1024, 2048, 4096));

TEST_P(CudaRowsTest, EmbeddingsAreSummedAndNormalised) {
  const Matrix tokens = Random(20, hidden(), DType::kF32);
  const Matrix positions = Random(9, hidden(), DType::kF32);
  const Matrix types = Random(2, hidden(), DType::kF32);
  const std::vector<std::int32_t> ids = {3, 19, 0, 7, 7, 1, 2};
  const std::vector<std::int32_t> places = {0, 1, 2, 8, 0, 1, 5};
  const std::vector<std::int32_t> kinds = {0, 0, 1, 1, 0, 1, 0};
  Matrix sum;
  for (int row = 0; row < kRows; ++row) {
    sum.push_back(Sum(Sum({tokens[ids[row]]}, {positions[places[row]]}), {types[kinds[row]]})[0]);
  }
  const DeviceArray<float> token_table = OnDevice(tokens), position_table = OnDevice(positions),
                           type_table = OnDevice(types);
  const DeviceArray device_ids(ids), device_places(places), device_kinds(kinds);
  const DeviceArray<std::uint16_t> operand(kRows * hidden(), 0xffff);
  const DeviceArray<float> stream(kRows * hidden(), 0);
  ASSERT_OK(EmbedAndNorm(Stream(), {.rows = kRows,
                                    .hidden_size = hidden(),
                                    .ids = device_ids.data(),
                                    .types = device_kinds.data(),
                                    .positions = device_places.data(),
                                    .token_table = token_table.data(),
                                    .position_table = position_table.data(),
                                    .type_table = type_table.data(),
                                    .norm = norm(),
                                    .outputs = {operand.data(), stream.data()}}));
  EXPECT_THAT(stream.Values(), AllClose(reference::Flat(Normed(sum)), reference::kFloat32));
  EXPECT_THAT(Floats(operand), AllClose(reference::Flat(Normed(sum)), kBf16));
}

TEST_P(CudaRowsTest, PostNormReplacesTheResidual) {
  const Matrix residual = Random(kRows, hidden(), DType::kBF16);
  const Matrix delta = Random(kRows, hidden(), DType::kBF16);
  const DeviceArray<std::uint16_t> operand = Bits(residual);
  const DeviceArray<std::uint16_t> delta_bits = Bits(delta);
  const DeviceArray<float> stream(kRows * hidden(), 0);
  ASSERT_OK(AddAndNorm(Stream(), {.rows = kRows,
                                  .hidden_size = hidden(),
                                  .delta = delta_bits.data(),
                                  .residual = operand.data(),  // in place
                                  .norm = norm(),
                                  .outputs = {operand.data(), stream.data()}}));
  const std::vector<double> expected = reference::Flat(Normed(Sum(residual, delta)));
  EXPECT_THAT(stream.Values(), AllClose(expected, reference::kFloat32));
  EXPECT_THAT(Floats(operand), AllClose(expected, kBf16));
}

TEST_P(CudaRowsTest, PreNormKeepsTheSum) {
  const Matrix residual = Random(kRows, hidden(), DType::kF32);
  const Matrix delta = Random(kRows, hidden(), DType::kBF16);
  const DeviceArray<std::uint16_t> delta_bits = Bits(delta);
  const DeviceArray<float> stream = OnDevice(residual);
  const DeviceArray<std::uint16_t> operand(kRows * hidden(), 0xffff);
  AddNormArgs args = {.rows = kRows,
                      .hidden_size = hidden(),
                      .delta = delta_bits.data(),
                      .stream = stream.data(),
                      .norm = norm(),
                      .outputs = {.operand = operand.data()}};
  ASSERT_OK(AddAndNorm(Stream(), args));
  EXPECT_THAT(stream.Values(),
              AllClose(reference::Flat(Sum(residual, delta)), reference::kFloat32));
  EXPECT_THAT(Floats(operand), AllClose(reference::Flat(Normed(Sum(residual, delta))), kBf16));
  // After the last layer nothing is normalised.
  args.norm = {};
  ASSERT_OK(AddAndNorm(Stream(), args));
  EXPECT_THAT(stream.Values(),
              AllClose(reference::Flat(Sum(Sum(residual, delta), delta)), reference::kFloat32));
}

TEST(CudaActivationTest, AgreesWithTheReferenceOnOddAmounts) {
  REPRISE_SKIP_WITHOUT_GPU();
  std::mt19937 random(5);
  for (const int count : {8, 32, 4104}) {
    const Matrix values = RandomMatrix(1, count, 2.0f, DType::kBF16, random);
    for (const Activation activation :
         {Activation::kGeluErf, Activation::kGeluTanh, Activation::kRelu}) {
      std::vector<double> expected;
      for (const double x : values[0]) {
        expected.push_back(activation == Activation::kGeluErf    ? reference::GeluErf(x)
                           : activation == Activation::kGeluTanh ? reference::GeluTanh(x)
                                                                 : std::max(x, 0.0));
      }
      const DeviceArray<std::uint16_t> bits = Bits(values);
      ASSERT_OK(Activate(Stream(), {activation, bits.data(), count}));
      EXPECT_THAT(Floats(bits), AllClose(expected, kBf16));
    }
  }
}

TEST_P(CudaRowsTest, PoolingTakesTheMeanOrTheFirstToken) {
  const Matrix rows = Random(kRows, hidden(), DType::kF32);
  const DeviceArray<float> values = OnDevice(rows);
  const std::vector<std::int32_t> cu_seqlens = {0, 1, 4, 7};
  const DeviceArray device_cu_seqlens(cu_seqlens);
  for (const bool mean : {false, true}) {
    for (const bool normalize : {false, true}) {
      std::vector<double> expected;
      for (int sequence = 0; sequence < 3; ++sequence) {
        const int begin = cu_seqlens[sequence], end = mean ? cu_seqlens[sequence + 1] : begin + 1;
        std::vector<double> pooled(hidden());
        double squares = 0;
        for (int column = 0; column < hidden(); ++column) {
          for (int row = begin; row < end; ++row)
            pooled[column] += rows[row][column] / (end - begin);
          squares += pooled[column] * pooled[column];
        }
        for (double& value : pooled) value /= normalize ? std::sqrt(squares) : 1;
        expected.insert(expected.end(), pooled.begin(), pooled.end());
      }
      const DeviceArray<float> pooled(3 * hidden(), 0);
      ASSERT_OK(Pool(Stream(), {3, hidden(), mean, normalize, values.data(),
                                device_cu_seqlens.data(), pooled.data()}));
      EXPECT_THAT(pooled.Values(), AllClose(expected, reference::kFloat32));
    }
  }
}

TEST_P(CudaRowsTest, SmallDenseLayersReadTheFirstTokens) {
  const Matrix rows = Random(kRows, hidden(), DType::kF32);
  const Matrix weight = Random(5, hidden(), DType::kF32);
  const Matrix bias = Random(1, 5, DType::kF32);
  const DeviceArray<std::int32_t> first_rows({0, 3, 6});
  const DeviceArray<float> x = OnDevice(rows), w = OnDevice(weight), b = OnDevice(bias);
  const DeviceArray<float> y(3 * 5, 0);
  SmallDenseArgs args = {.rows = 3,
                         .in_features = hidden(),
                         .out_features = 5,
                         .x = x.data(),
                         .first_rows = first_rows.data(),
                         .weight = w.data(),
                         .bias = b.data(),
                         .y = y.data()};
  ASSERT_OK(RunSmallDense(Stream(), args));
  std::vector<double> expected =
      reference::Flat(reference::Linear({rows[0], rows[3], rows[6]}, weight, bias[0]));
  EXPECT_THAT(y.Values(), AllClose(expected, kSmallDense));
  args.tanh = true;
  ASSERT_OK(RunSmallDense(Stream(), args));
  for (double& value : expected) value = std::tanh(value);
  EXPECT_THAT(y.Values(), AllClose(expected, kSmallDense));
}

}  // namespace
}  // namespace reprise::engine::cuda
