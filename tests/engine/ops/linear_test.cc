#include "engine/ops/linear.h"

#include <string>

#include "engine/device/cpu/execution_scope.h"
#include "tests/engine/ops/test_matrices.h"
#include "tests/reference/tolerance.h"
#include "tests/status_matchers.h"

namespace reprise::engine::ops {
namespace {

using reference::AllClose;
using reference::Matrix;
using reference::Tolerance;

struct LinearCase {
  DType precision;
  int threads;
};

class LinearTest : public ::testing::TestWithParam<LinearCase> {
 protected:
  void SetUp() override {
    const auto probe =
        Linear::Pack(std::vector<float>(16 * 16), {},
                     {.in_features = 16, .out_features = 16, .precision = precision()});
    if (!probe.ok()) GTEST_SKIP() << probe.status();
  }

  DType precision() const { return GetParam().precision; }

  // bf16 inputs are exact in the reference too, so only the order of summation differs; bf16
  // outputs are rounded once more.
  Tolerance ToleranceFor(DType output) const {
    return output == DType::kBF16 ? Tolerance{1e-3, 0.005} : Tolerance{2e-5, 1e-5};
  }

  std::vector<float> Run(const Linear& linear, const Matrix& x) {
    const auto rows = static_cast<std::int64_t>(x.size());
    const memory::Buffer in = InPanels(x, linear.input(rows));
    const memory::Buffer out = Allocate(linear.output(rows).bytes());
    const memory::Buffer scratch = Allocate(linear.scratchpad_bytes() * team_.size());
    const device::ExecutionScope scope;
    linear.Run(team_, {in.data(), RoundedRows(rows)}, {out.data(), RoundedRows(rows)}, rows,
               scratch.data());
    return FromPanels(out, linear.output(rows), rows);
  }

  Linear Pack(const Matrix& weight, const std::vector<double>& bias, const LinearOptions& options) {
    auto linear = Linear::Pack(Flat(weight), std::vector<float>(bias.begin(), bias.end()), options);
    EXPECT_OK(linear);
    return *std::move(linear);
  }

  std::mt19937 random_{20211021};
  device::ThreadTeam team_{{.threads = GetParam().threads}};
};

TEST_P(LinearTest, MultipliesOddShapes) {
  for (const auto [rows, in, out] : std::vector<std::array<std::int64_t, 3>>{
           {1, 1, 1}, {3, 5, 7}, {16, 16, 16}, {17, 33, 65}, {130, 96, 200}}) {
    const Matrix weight = RandomMatrix(out, in, 0.3f, precision(), random_);
    const std::vector<double> bias = RandomMatrix(1, out, 1.0f, DType::kF32, random_)[0];
    const Matrix x = RandomMatrix(rows, in, 1.0f, precision(), random_);
    const Linear linear =
        Pack(weight, bias, {.in_features = in, .out_features = out, .precision = precision()});
    EXPECT_THAT(Run(linear, x),
                AllClose(Flat(reference::Linear(x, weight, bias)), ToleranceFor(DType::kF32)))
        << rows << " x " << in << " x " << out;
  }
}

TEST_P(LinearTest, PanelsOnBothSidesGiveTheSameProduct) {
  const Matrix weight = RandomMatrix(100, 150, 0.3f, precision(), random_);
  const std::vector<double> bias = RandomMatrix(1, 100, 1.0f, DType::kF32, random_)[0];
  const Matrix x = RandomMatrix(45, 150, 1.0f, precision(), random_);
  const Linear linear = Pack(weight, bias,
                             {.in_features = 150,
                              .out_features = 100,
                              .in_panel = 64,
                              .out_panel = 48,
                              .precision = precision()});
  EXPECT_THAT(Run(linear, x),
              AllClose(Flat(reference::Linear(x, weight, bias)), ToleranceFor(DType::kF32)));
}

TEST_P(LinearTest, AppliesTheEpilogueAfterTheBias) {
  const Matrix weight = RandomMatrix(40, 24, 0.3f, precision(), random_);
  const std::vector<double> bias = RandomMatrix(1, 40, 1.0f, DType::kF32, random_)[0];
  const Matrix x = RandomMatrix(20, 24, 1.0f, precision(), random_);
  const std::vector<std::pair<Epilogue, double (*)(double)>> epilogues = {
      {Epilogue::kNone, [](double v) { return v; }},
      {Epilogue::kGeluErf, reference::GeluErf},
      {Epilogue::kGeluTanh, reference::GeluTanh},
      {Epilogue::kRelu, [](double v) { return v > 0 ? v : 0.0; }},
      {Epilogue::kTanh, [](double v) { return std::tanh(v); }}};
  for (const auto& [epilogue, function] : epilogues) {
    Matrix expected = reference::Linear(x, weight, bias);
    for (auto& row : expected) {
      for (double& value : row) value = function(value);
    }
    const Linear linear = Pack(weight, bias,
                               {.in_features = 24,
                                .out_features = 40,
                                .precision = precision(),
                                .output = precision(),
                                .epilogue = epilogue});
    EXPECT_THAT(Run(linear, x), AllClose(Flat(expected), ToleranceFor(precision())))
        << static_cast<int>(epilogue);
  }
}

TEST_P(LinearTest, RowsDoNotDependOnTheirCompany) {
  const std::int64_t in = 96, out = 130;
  const Matrix weight = RandomMatrix(out, in, 0.3f, precision(), random_);
  const Matrix x = RandomMatrix(300, in, 1.0f, precision(), random_);
  const Linear linear =
      Pack(weight, {},
           {.in_features = in, .out_features = out, .out_panel = 64, .precision = precision()});
  const std::vector<float> together = Run(linear, x);
  for (const std::int64_t first : {0, 1, 100, 299}) {
    for (const std::int64_t rows : {1, 2, 15, 16, 17, 31, 64, 100, 129, 200}) {
      if (first + rows > 300) continue;
      const Matrix part(x.begin() + first, x.begin() + first + rows);
      const std::vector<float> expected(together.begin() + first * out,
                                        together.begin() + (first + rows) * out);
      EXPECT_EQ(Run(linear, part), expected) << "rows " << first << " + " << rows;
    }
  }
}

TEST_P(LinearTest, CountsItsParameters) {
  const Linear linear =
      Pack(RandomMatrix(6, 4, 1.0f, precision(), random_), std::vector<double>(6, 0.0),
           {.in_features = 4, .out_features = 6, .precision = precision()});
  EXPECT_EQ(linear.parameters(), 6 * 4 + 6);
  EXPECT_GE(linear.packed_bytes(), 6 * 4 * static_cast<std::int64_t>(SizeOf(precision())));
}

INSTANTIATE_TEST_SUITE_P(All, LinearTest,
                         ::testing::Values(LinearCase{DType::kF32, 1}, LinearCase{DType::kF32, 2},
                                           LinearCase{DType::kF32, 5}, LinearCase{DType::kBF16, 1},
                                           LinearCase{DType::kBF16, 2}),
                         [](const auto& info) {
                           return std::string(Name(info.param.precision)) + "x" +
                                  std::to_string(info.param.threads);
                         });

}  // namespace
}  // namespace reprise::engine::ops
