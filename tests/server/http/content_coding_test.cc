#include "server/http/content_coding.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::http {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

absl::Status NoLimit(std::int64_t) { return absl::OkStatus(); }

class CodingTest : public ::testing::TestWithParam<ContentCoding> {};

TEST_P(CodingTest, ReadsBackEqual) {
  std::string text;
  for (std::int64_t i = 0; i < 100'000; ++i) text += std::to_string(i * i);
  for (const std::vector<std::string>& pieces :
       {std::vector<std::string>{}, {""}, {"a"}, {"a", "", "bc"}, {text, text}}) {
    std::string whole;
    for (const std::string& piece : pieces) whole += piece;
    const auto inflated = Inflate(Deflate(pieces, GetParam()), GetParam(), NoLimit);
    ASSERT_THAT(inflated, IsOk());
    EXPECT_EQ(*inflated, whole);
  }
}

TEST_P(CodingTest, AsksBeforeItGrows) {
  const std::string bomb = Deflate({std::string(std::size_t{64} << 20, '\0')}, GetParam());
  EXPECT_LT(bomb.size(), std::size_t{1} << 20);
  std::int64_t kept = 0;
  const auto inflated = Inflate(bomb, GetParam(), [&kept](std::int64_t bytes) -> absl::Status {
    if (kept + bytes > 1'000'000) return absl::OutOfRangeError("enough");
    kept += bytes;
    return absl::OkStatus();
  });
  EXPECT_THAT(inflated, StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("enough")));
  EXPECT_LE(kept, 1'000'000);
}

TEST_P(CodingTest, RefusesWhatIsCutOffDamagedOrFollowed) {
  const std::string whole = Deflate({"some text, some text, some more text"}, GetParam());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(Inflate(whole.substr(0, size), GetParam(), NoLimit),
                StatusIs(kInvalid, HasSubstr("the body is not valid")))
        << size;
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    // Some bytes of gzip's head, such as the time, mean nothing.
    const auto inflated = Inflate(damaged, GetParam(), NoLimit);
    EXPECT_TRUE(inflated.ok() || inflated.status().code() == kInvalid) << i;
  }
  EXPECT_THAT(Inflate(whole + "x", GetParam(), NoLimit), StatusIs(kInvalid, HasSubstr("")));
}

INSTANTIATE_TEST_SUITE_P(Codings, CodingTest,
                         ::testing::Values(ContentCoding::kGzip, ContentCoding::kDeflate),
                         [](const auto& info) { return std::string(Name(info.param)); });

TEST(InflateTest, AGzipBodyMayBeSeveralParts) {
  const std::string two =
      Deflate({"one "}, ContentCoding::kGzip) + Deflate({"two"}, ContentCoding::kGzip);
  EXPECT_EQ(*Inflate(two, ContentCoding::kGzip, NoLimit), "one two");
}

TEST(ParseContentEncodingTest, KnowsItsOwn) {
  EXPECT_EQ(ParseContentEncoding(""), ContentCoding::kIdentity);
  EXPECT_EQ(ParseContentEncoding("identity"), ContentCoding::kIdentity);
  EXPECT_EQ(ParseContentEncoding(" GZIP "), ContentCoding::kGzip);
  EXPECT_EQ(ParseContentEncoding("deflate"), ContentCoding::kDeflate);
  for (const char* other : {"br", "gzip, deflate", "gzip;q=1", "zstd"}) {
    EXPECT_EQ(ParseContentEncoding(other), std::nullopt) << other;
  }
}

TEST(ChooseCodingTest, TakesTheMostWanted) {
  EXPECT_EQ(ChooseCoding(""), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("br, *"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("gzip, deflate, br"), ContentCoding::kGzip);
  EXPECT_EQ(ChooseCoding("Deflate"), ContentCoding::kDeflate);
  EXPECT_EQ(ChooseCoding("gzip;q=0.5, deflate;q=0.8"), ContentCoding::kDeflate);
  EXPECT_EQ(ChooseCoding("gzip;q=0, deflate; q=0"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("gzip;q=x"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding(",;,=,gzip"), ContentCoding::kGzip);
}

}  // namespace
}  // namespace reprise::server::http
