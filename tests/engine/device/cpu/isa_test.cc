#include "engine/device/cpu/isa.h"

#include "tests/status_matchers.h"

namespace reprise::engine::device {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

TEST(CpuIsaTest, NamesReadBack) {
  for (const CpuIsa isa :
       {CpuIsa::kSse4, CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Bf16, CpuIsa::kAmx}) {
    const auto parsed = ParseCpuIsa(std::string(Name(isa)));
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, isa);
  }
}

TEST(CpuIsaTest, UnknownNameListsTheKnownOnes) {
  EXPECT_THAT(ParseCpuIsa("neon"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("avx512_bf16")));
}

TEST(CpuIsaTest, TheActiveOneIsFixedAndWithinWhatTheProcessorOffers) {
  const CpuIsa active = ActiveCpuIsa();
  EXPECT_LE(active, DetectCpuIsa());
  EXPECT_EQ(ActiveCpuIsa(), active);
  EXPECT_THAT(DescribeCpuIsa(), HasSubstr(std::string(Name(active))));
  EXPECT_THAT(LimitCpuIsa(CpuIsa::kSse4),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("before any model")));
}

}  // namespace
}  // namespace reprise::engine::device
