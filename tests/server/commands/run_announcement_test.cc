#include "server/commands/run_announcement.h"

#include <chrono>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::commands {
namespace {

using ::reprise::testing::StatusIs;

// 25 texts of 10 tokens, 5 of 100.
TokenizedTexts Texts() {
  TokenizedTexts texts(25, std::vector<std::int32_t>(10));
  texts.insert(texts.end(), 5, std::vector<std::int32_t>(100));
  return texts;
}

TEST(EstimateSeconds, KnowsWorkThatGrowsWithTheSquareOfTheLength) {
  std::multiset<std::size_t> ran;
  const auto seconds = EstimateSeconds(Texts(), [&](const std::vector<std::int32_t>& text) {
    ran.insert(text.size());
    // 1 ms for 10 tokens, 55 ms for 100: not ten times as much.
    const auto length = static_cast<double>(text.size());
    std::this_thread::sleep_for(
        std::chrono::duration<double>(5e-5 * length + 5e-6 * length * length));
    return absl::OkStatus();
  });
  ASSERT_OK(seconds);
  EXPECT_EQ(ran, (std::multiset<std::size_t>{10, 10, 100}));
  // At least what the sleeps are: 25 x 1 ms + 5 x 55 ms. A busy machine sleeps longer.
  EXPECT_GE(*seconds, 0.25);
  EXPECT_LE(*seconds, 3);
}

TEST(EstimateSeconds, FailsAsARunFails) {
  EXPECT_THAT(EstimateSeconds(Texts(), [](const auto&) { return absl::InternalError("no"); }),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("no")));
}

TEST(Announce, SaysHowMuchHowLongAndHowLarge) {
  ::testing::internal::CaptureStdout();
  Announce(Texts(), 4, 36, 3 << 20, ", twice");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "30 texts, 750 tokens, twice, 4 threads: about 9 s and 3.00 MiB of memory\n");
}

}  // namespace
}  // namespace reprise::server::commands
