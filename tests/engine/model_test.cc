#include "engine/model.h"

#include "engine/device/cpu/isa.h"
#include "gtest/gtest.h"
#include "tests/engine/tiny_model.h"

namespace reprise::engine {
namespace {

TEST(ModelTest, AutoPrecisionIsBf16ExactlyWhereTheCpuMultipliesIt) {
  const bool bf16 = device::ActiveCpuIsa() >= device::CpuIsa::kAvx512Bf16;
  const Precision expected = bf16 ? Precision::kBF16 : Precision::kF32;
  EXPECT_EQ(ResolvePrecision(Precision::kAuto), expected);
  const auto model = TinyModel(Precision::kAuto, TinyConfig());
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->precision(), expected);
}

TEST(ModelTest, APrecisionThatIsAskedForStays) {
  EXPECT_EQ(ResolvePrecision(Precision::kF32), Precision::kF32);
  EXPECT_EQ(ResolvePrecision(Precision::kBF16), Precision::kBF16);
}

}  // namespace
}  // namespace reprise::engine
