// Rounding to file formats, against constants of the formats.
#include "tests/reference/number_format.h"

#include <bit>
#include <cmath>

#include "gtest/gtest.h"
#include "tests/reference/random_model.h"

namespace reprise::reference {
namespace {

TEST(NumberFormatTest, F32IsTheMachinesFloat) {
  Random random(11);
  for (int i = 0; i < 10000; ++i) {
    const double value = random.Normal(1) * std::ldexp(1.0, random.Integer(-148, 100));
    const auto nearest = static_cast<float>(value);
    EXPECT_EQ(Round(value, NumberFormat::kF32), nearest);
    EXPECT_EQ(Encode(nearest, NumberFormat::kF32), std::bit_cast<std::uint32_t>(nearest));
  }
}

TEST(NumberFormatTest, KnownValuesHaveTheirKnownBits) {
  EXPECT_EQ(Encode(1, NumberFormat::kF16), 0x3c00u);
  EXPECT_EQ(Encode(-2, NumberFormat::kF16), 0xc000u);
  EXPECT_EQ(Encode(65504, NumberFormat::kF16), 0x7bffu);               // largest
  EXPECT_EQ(Encode(std::ldexp(1, -24), NumberFormat::kF16), 0x0001u);  // smallest subnormal
  EXPECT_EQ(Encode(1, NumberFormat::kBF16), 0x3f80u);
  EXPECT_EQ(Encode(-0.15625, NumberFormat::kBF16), 0xbe20u);
}

TEST(NumberFormatTest, EveryFiniteSixteenBitNumberSurvivesTheRoundTrip) {
  for (NumberFormat format : {NumberFormat::kF16, NumberFormat::kBF16}) {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const double value = Decode(bits, format);
      if (!std::isfinite(value)) continue;
      ASSERT_EQ(Round(value, format), value);
      ASSERT_EQ(Encode(value, format), bits);
    }
  }
}

TEST(NumberFormatTest, TiesGoToTheEvenNeighbour) {
  EXPECT_EQ(Round(1 + std::ldexp(1, -8), NumberFormat::kBF16), 1);
  EXPECT_EQ(Round(1 + 3 * std::ldexp(1, -8), NumberFormat::kBF16), 1 + std::ldexp(1, -6));
  EXPECT_EQ(Round(1 + std::ldexp(1, -11), NumberFormat::kF16), 1);
}

}  // namespace
}  // namespace reprise::reference
