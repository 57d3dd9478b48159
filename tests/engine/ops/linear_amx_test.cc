// The AMX products on tiles in plain C++, so that their layouts and loops are tested on every
// processor that has AVX-512 with bf16.
#include <array>
#include <string>
#include <vector>

#include "engine/device/cpu/isa.h"
#include "engine/ops/linear_amx-inl.h"
#include "engine/ops/linear_backend.h"
#include "tests/engine/device/cpu/emulated_tiles.h"
#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"

namespace reprise::engine::ops::internal {
namespace {

using reference::AllClose;
using reference::Matrix;
using reference::Tolerance;

class LinearAmxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device::ActiveCpuIsa() < device::CpuIsa::kAvx512Bf16) {
      GTEST_SKIP() << "beside tiles these products use AVX-512 with bf16";
    }
  }

  // All blocks of all panels, cut as ops::Linear may cut them.
  std::vector<float> Run(const AmxBackend<device::EmulatedTiles>& backend,
                         const LinearOptions& options, const Matrix& x, std::int64_t block_rows) {
    const auto rows = static_cast<std::int64_t>(x.size());
    const PanelLayout in = InputLayout(options, rows), out = OutputLayout(options, rows);
    const memory::Buffer x_buffer = InPanels(x, in);
    const memory::Buffer y_buffer = Allocate(out.bytes());
    const memory::Buffer scratch = Allocate(backend.scratchpad_bytes());
    for (std::int64_t panel = 0; panel < out.panels(); ++panel) {
      for (std::int64_t row = 0; row < RoundedRows(rows); row += block_rows) {
        backend.Run({.x = x_buffer.data(),
                     .y = y_buffer.data(),
                     .x_layout = in,
                     .y_layout = out,
                     .out_panel = panel,
                     .first_row = row,
                     .rows = std::min(block_rows, RoundedRows(rows) - row),
                     .scratchpad = scratch.data()});
      }
    }
    EXPECT_FALSE(device::EmulatedTiles::configured);  // released for whoever comes next
    return FromPanels(y_buffer, out, rows);
  }

  std::mt19937 random_{20260101};
};

struct Shape {
  std::int64_t rows, in, out, in_panel, out_panel;
};

TEST_F(LinearAmxTest, MultipliesAnyShapeInAnyPanels) {
  for (const Shape& s : {Shape{1, 1, 1, 1, 1}, Shape{16, 32, 32, 32, 32}, Shape{17, 33, 65, 33, 65},
                         Shape{40, 96, 70, 96, 32}, Shape{130, 100, 48, 40, 48},
                         Shape{33, 64, 100, 64, 48}, Shape{5, 31, 17, 31, 17}}) {
    const Matrix weight = RandomMatrix(s.out, s.in, 0.3f, DType::kBF16, random_);
    const std::vector<double> bias = RandomMatrix(1, s.out, 1.0f, DType::kF32, random_)[0];
    const Matrix x = RandomMatrix(s.rows, s.in, 1.0f, DType::kBF16, random_);
    const LinearOptions options = {.in_features = s.in,
                                   .out_features = s.out,
                                   .in_panel = s.in_panel,
                                   .out_panel = s.out_panel,
                                   .precision = DType::kBF16};
    AmxBackend<device::EmulatedTiles> backend;
    const std::vector<float> flat_weight = Flat(weight), flat_bias(bias.begin(), bias.end());
    ASSERT_OK(backend.Pack(options, {flat_weight, flat_bias}));
    const std::vector<float> product = Run(backend, options, x, 128);
    EXPECT_THAT(product, AllClose(Flat(reference::Linear(x, weight, bias)), Tolerance{2e-5, 1e-5}))
        << s.rows << " x " << s.in << " -> " << s.out;
    // A row's numbers do not depend on the height of its block.
    for (const std::int64_t block_rows : {16, 32, 48}) {
      EXPECT_EQ(Run(backend, options, x, block_rows), product) << block_rows;
    }
  }
}

TEST_F(LinearAmxTest, AppliesTheEpilogueAndRounds) {
  const Matrix weight = RandomMatrix(40, 64, 0.3f, DType::kBF16, random_);
  const Matrix x = RandomMatrix(20, 64, 1.0f, DType::kBF16, random_);
  Matrix expected = reference::Linear(x, weight, {});
  for (auto& row : expected) {
    for (double& value : row) value = std::max(value, 0.0);
  }
  LinearOptions options = {.in_features = 64,
                           .out_features = 40,
                           .in_panel = 64,
                           .out_panel = 40,
                           .precision = DType::kBF16,
                           .output = DType::kBF16,
                           .epilogue = Epilogue::kRelu};
  AmxBackend<device::EmulatedTiles> backend;
  const std::vector<float> flat_weight = Flat(weight);
  ASSERT_OK(backend.Pack(options, {flat_weight, {}}));
  EXPECT_THAT(Run(backend, options, x, 128), AllClose(Flat(expected), Tolerance{1e-3, 0.005}));
}

}  // namespace
}  // namespace reprise::engine::ops::internal
