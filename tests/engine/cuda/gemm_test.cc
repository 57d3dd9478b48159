#include "engine/cuda/gemm.h"

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

using ops::Flat;
using ops::RandomMatrix;
using reference::Matrix;

constexpr std::int64_t kMaxRows = 200;
// Results are around 20 with inner dimensions of this size; bf16 rounds by 2^-9 of that.
constexpr reference::Tolerance kBf16 = {0.06, 0.005};

struct Shape {
  int in_features;
  int out_features;
  bool invariant = true;
};

class CudaGemmTest : public ::testing::TestWithParam<Shape> {
 protected:
  void SetUp() override { REPRISE_SKIP_WITHOUT_GPU(); }
  std::mt19937 random_{11};
};
INSTANTIATE_TEST_SUITE_P(Shapes, CudaGemmTest,
                         ::testing::Values(Shape{16, 16}, Shape{48, 144}, Shape{384, 64},
                                           Shape{64, 1536}, Shape{384, 64, false}),
                         [](const auto& shape) {
                           return std::to_string(shape.param.in_features) + "To" +
                                  std::to_string(shape.param.out_features) +
                                  (shape.param.invariant ? "" : "InAnyOrder");
                         });

// A row's bits depend on neither its neighbours nor their number.
TEST_P(CudaGemmTest, AgreesWithTheReferenceToTheSameBitsForAnyNumberOfRows) {
  const auto [in_features, out_features, invariant] = GetParam();
  const Matrix x = RandomMatrix(kMaxRows, in_features, 1.0f, DType::kBF16, random_);
  const Matrix weight = RandomMatrix(out_features, in_features, 1.0f, DType::kBF16, random_);
  const Matrix bias = RandomMatrix(1, out_features, 1.0f, DType::kBF16, random_);
  const absl::StatusOr<Stream> stream = Stream::Create();
  ASSERT_OK(stream);
  const absl::StatusOr<Dense> dense = Dense::Upload(Flat(weight), Flat(bias));
  ASSERT_OK(dense);
  const auto gemm = Gemm::Tune(*stream, *dense, kMaxRows, invariant);
  ASSERT_OK(gemm);
  std::vector<std::uint16_t> bits;
  for (const float value : Flat(x)) bits.push_back(BFloat16::FromFloat(value).bits);
  const DeviceArray device_x(bits);
  const DeviceArray<std::byte> workspace((*gemm)->workspace_bytes() + 1, std::byte{0xff});

  std::vector<std::uint16_t> all;
  for (const std::int64_t rows : {kMaxRows, std::int64_t{1}, std::int64_t{16}, std::int64_t{17},
                                  std::int64_t{65}, std::int64_t{128}}) {
    SCOPED_TRACE(std::to_string(rows) + " rows");
    const DeviceArray<std::uint16_t> y(kMaxRows * out_features, 0xffff);
    ASSERT_OK((*gemm)->Run(*stream, *dense, device_x.data(), y.data(), rows, workspace.data()));
    std::vector<std::uint16_t> found = y.Values();
    if (rows < kMaxRows) {
      EXPECT_EQ(found[rows * out_features], 0xffff);
    }
    found.resize(rows * out_features);
    if (all.empty()) all = found;
    if (invariant) {
      EXPECT_TRUE(std::equal(found.begin(), found.end(), all.begin()));
    }
  }
  std::vector<float> values;
  for (const std::uint16_t value : all) values.push_back(BFloat16{value}.ToFloat());
  EXPECT_THAT(values,
              reference::AllClose(reference::Flat(reference::Linear(x, weight, bias[0])), kBf16));
}

}  // namespace
}  // namespace reprise::engine::cuda
