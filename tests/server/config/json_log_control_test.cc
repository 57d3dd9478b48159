#include "server/config/json_log_control.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/json_log.h"
#include "spdlog/spdlog.h"
#include "tests/status_matchers.h"

namespace reprise::server::config {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

class JsonLogControlTest : public ::testing::Test {
 protected:
  void SetUp() override { InstallJsonLog(LogLevel::kInfo); }

  // What a line of each level, and one of spdlog's own, leave on standard error.
  static std::string Lines() {
    ::testing::internal::CaptureStderr();
    Log(LogLevel::kDebug, "a debug line");
    LogInfo("an info line");
    LogWarning("a warning line");
    LogError("an error line");
    spdlog::info("a line of a library");
    return ::testing::internal::GetCapturedStderr();
  }

  JsonLogControl control_;
};

TEST_F(JsonLogControlTest, BeginsWithTheLevelOfTheFlag) {
  const LogSettings settings = control_.Settings();
  EXPECT_TRUE(settings.info && settings.warning && settings.error);
  EXPECT_EQ(settings.verbose_level, 0u);
  EXPECT_EQ(settings.format, "json");
  EXPECT_EQ(settings.file, "");
  InstallJsonLog(LogLevel::kError);
  EXPECT_FALSE(control_.Settings().info || control_.Settings().warning);
  InstallJsonLog(LogLevel::kDebug);
  EXPECT_EQ(control_.Settings().verbose_level, 1u);
}

TEST_F(JsonLogControlTest, EachLevelIsSwitchedByItself) {
  ASSERT_THAT(control_.Change({.info = false, .verbose_level = 4}), IsOk());
  EXPECT_EQ(control_.Settings().verbose_level, 4u);
  const std::string lines = Lines();
  EXPECT_THAT(lines, HasSubstr("a debug line"));
  EXPECT_THAT(lines, Not(HasSubstr("an info line")));
  EXPECT_THAT(lines, Not(HasSubstr("a line of a library")));
  EXPECT_THAT(lines, HasSubstr("a warning line"));
  EXPECT_THAT(lines, HasSubstr("an error line"));
  ASSERT_THAT(control_.Change({.warning = false, .error = false, .verbose_level = 0}), IsOk());
  EXPECT_EQ(Lines(), "");
}

TEST_F(JsonLogControlTest, WhatIsNotNamedStays) {
  ASSERT_THAT(control_.Change({.warning = false}), IsOk());
  ASSERT_THAT(control_.Change({}), IsOk());
  EXPECT_TRUE(control_.Settings().info);
  EXPECT_FALSE(control_.Settings().warning);
}

TEST_F(JsonLogControlTest, AFileAndAnotherFormatAreRefusedAndNothingChanges) {
  EXPECT_THAT(control_.Change({.file = "/var/log/x", .info = false}),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("standard error")));
  EXPECT_THAT(control_.Change({.info = false, .format = "default"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'json'")));
  EXPECT_TRUE(control_.Settings().info);
  EXPECT_THAT(control_.Change({.file = "", .format = "json"}), IsOk());
}

}  // namespace
}  // namespace reprise::server::config
