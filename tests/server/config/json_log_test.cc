#include "server/config/json_log.h"

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::config {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr std::chrono::system_clock::time_point kTime{std::chrono::milliseconds(1714564800123)};

TEST(JsonLog, ALineHoldsTimeLevelMessageAndFieldsInThatOrder) {
  EXPECT_EQ(FormatLogLine(kTime, "info", "model ready", {{"model", "demo"}, {"port", 8001}}),
            R"({"time":"2024-05-01T12:00:00.123Z","level":"info","message":"model ready",)"
            R"("model":"demo","port":8001})");
}

TEST(JsonLog, QuotesControlCharactersAndLineEndsAreEscaped) {
  const std::string text = "a \"b\"\n\t\x01\\";
  const std::string line = FormatLogLine(kTime, "info", text, {{"k", text}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["message"], text);
  EXPECT_EQ(parsed["k"], text);
}

TEST(JsonLog, BytesThatAreNotUtf8AreReplaced) {
  const auto parsed = nlohmann::json::parse(FormatLogLine(kTime, "info", "x\xff", {}));
  EXPECT_EQ(parsed["message"], "x\xef\xbf\xbd");
}

TEST(JsonLog, AFieldCannotReplaceTheLinesOwnKeys) {
  const auto parsed = nlohmann::json::parse(
      FormatLogLine(kTime, "info", "real", {{"message", "forged"}, {"level", "error"}}));
  EXPECT_EQ(parsed["message"], "real");
  EXPECT_EQ(parsed["level"], "info");
}

TEST(JsonLog, LevelNamesReadBack) {
  for (const char* name : {"debug", "info", "warning", "error"}) {
    const auto level = ParseLogLevel(name);
    ASSERT_OK(level);
    EXPECT_EQ(Name(*level), name);
  }
  EXPECT_THAT(ParseLogLevel("loud"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'loud'")));
}

class InstalledJsonLog : public ::testing::Test {
 protected:
  // Everything written to standard error while `body` runs.
  template <typename Body>
  std::string Captured(Body body) {
    ::testing::internal::CaptureStderr();
    body();
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(InstalledJsonLog, WritesOneObjectPerLine) {
  const std::string text = Captured([] {
    InstallJsonLog(LogLevel::kInfo);
    LogInfo("one", {{"n", 1}});
    LogWarning("two {} %v");
  });
  const std::size_t line_end = text.find('\n');
  ASSERT_NE(line_end, std::string::npos);
  const auto first = nlohmann::json::parse(text.substr(0, line_end));
  EXPECT_EQ(first["message"], "one");
  EXPECT_EQ(first["n"], 1);
  const auto second = nlohmann::json::parse(text.substr(line_end + 1));
  EXPECT_EQ(second["level"], "warning");
  EXPECT_EQ(second["message"], "two {} %v");
}

TEST_F(InstalledJsonLog, DropsWhatIsBelowItsLevel) {
  const std::string text = Captured([] {
    InstallJsonLog(LogLevel::kWarning);
    LogInfo("quiet");
  });
  EXPECT_EQ(text, "");
}

TEST_F(InstalledJsonLog, SaysWhichLevelsItWrites) {
  InstallJsonLog(LogLevel::kWarning);
  EXPECT_FALSE(Logs(LogLevel::kInfo));
  EXPECT_TRUE(Logs(LogLevel::kWarning));
  EXPECT_TRUE(Logs(LogLevel::kError));
}

}  // namespace
}  // namespace reprise::server::config
