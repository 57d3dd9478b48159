#include "server/commands/quantity_text.h"

#include "gtest/gtest.h"

namespace reprise::server::commands {
namespace {

TEST(QuantityText, CountsHaveThreeDigitsAndADecimalPrefix) {
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(87), "87");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(1000), "1.00 k");
  EXPECT_EQ(CountText(109482240), "109 M");
  EXPECT_EQ(CountText(12.34e9), "12.3 G");
}

TEST(QuantityText, RoundingNeverShowsAThousandOfTheSmallerUnit) {
  EXPECT_EQ(CountText(999600), "1.00 M");
  EXPECT_EQ(CountText(99960), "100 k");
  EXPECT_EQ(CountText(9996), "10.0 k");
}

TEST(QuantityText, BytesArePowersOf1024) {
  EXPECT_EQ(ByteText(512), "512 B");
  EXPECT_EQ(ByteText(1536), "1.50 KiB");
  EXPECT_EQ(ByteText(64 << 20), "64.0 MiB");
  EXPECT_EQ(ByteText(std::int64_t{3} << 40), "3.00 TiB");
}

TEST(QuantityText, NegativeBytesKeepTheirSign) { EXPECT_EQ(ByteText(-2048), "-2.00 KiB"); }

}  // namespace
}  // namespace reprise::server::commands
