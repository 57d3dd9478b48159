#include "engine/weights/element_codec.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace reprise::engine::weights {
namespace {

std::vector<float> RoundTrip(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * SizeOf(dtype));
  EncodeElements(dtype, values, bytes);
  std::vector<float> decoded(values.size());
  DecodeElements(dtype, bytes, decoded);
  return decoded;
}

TEST(ElementCodecTest, KnowsTheTypesItReads) {
  EXPECT_EQ(ParseDType("F32"), DType::kF32);
  EXPECT_EQ(ParseDType("BF16"), DType::kBF16);
  EXPECT_EQ(ParseDType("F16"), DType::kF16);
  EXPECT_EQ(ParseDType("F64"), std::nullopt);
  EXPECT_EQ(ParseDType("f32"), std::nullopt);
  EXPECT_EQ(ParseDType(""), std::nullopt);
}

TEST(ElementCodecTest, F32IsCopied) {
  const std::vector<float> values = {0.0f, -1.5f, 3e38f, 1e-45f};
  EXPECT_EQ(RoundTrip(DType::kF32, values), values);
}

TEST(ElementCodecTest, ValuesThatFitANarrowTypeStayTheSame) {
  const std::vector<float> values = {0.0f, -1.5f, 0.25f, 240.0f};
  EXPECT_EQ(RoundTrip(DType::kBF16, values), values);
  EXPECT_EQ(RoundTrip(DType::kF16, values), values);
}

TEST(ElementCodecTest, EveryHalfSurvivesTheWayThroughFloat) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value)))) << bits;
    } else {
      EXPECT_EQ(FloatToHalf(value), half);
    }
  }
}

TEST(ElementCodecTest, HalvesRoundToTheNearestAndTiesToEven) {
  // Between each two neighbouring finite halves of one sign: a little below, on and above the
  // middle.
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits);
    const auto high = static_cast<std::uint16_t>(bits + 1);
    const float middle = (HalfToFloat(low) + HalfToFloat(high)) / 2;  // exact in fp32
    EXPECT_EQ(FloatToHalf(middle), low % 2 == 0 ? low : high);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), high);
    EXPECT_EQ(FloatToHalf(-std::nextafter(middle, 1e9f)), high | 0x8000);
  }
}

TEST(ElementCodecTest, ValuesBeyondTheLargestHalfBecomeInfinite) {
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-1e30f), 0xfc00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(ElementCodecTest, NaNStaysNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    EXPECT_TRUE(std::isnan(RoundTrip(dtype, {nan})[0])) << Name(dtype);
  }
}

TEST(ElementCodecTest, ReadsElementsThatAreNotAligned) {
  std::vector<std::byte> bytes(1 + 8);
  const std::vector<float> values = {1.0f, -2.0f};
  EncodeElements(DType::kF32, values, std::span(bytes).subspan(1));
  std::vector<float> decoded(2);
  DecodeElements(DType::kF32, std::span(bytes).subspan(1), decoded);
  EXPECT_EQ(decoded, values);
}

}  // namespace
}  // namespace reprise::engine::weights
