#include "server/request/log_settings.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

TEST(LogSettingsTest, EverySettingHasAName) {
  const LogSettings settings = {.file = "f",
                                .info = false,
                                .warning = true,
                                .error = false,
                                .verbose_level = 3,
                                .format = "json"};
  const std::map<std::string, LogSettingValue> expected = {
      {"log_file", std::string("f")}, {"log_info", false},
      {"log_warning", true},          {"log_error", false},
      {"log_verbose_level", 3u},      {"log_format", std::string("json")}};
  EXPECT_EQ(ToNamedValues(settings), expected);
}

TEST(LogSettingsTest, AChangeHoldsWhatIsNamedAndNothingElse) {
  LogChange change;
  ASSERT_THAT(SetNamedValue("log_info", false, &change), IsOk());
  ASSERT_THAT(SetNamedValue("log_verbose_level", 2u, &change), IsOk());
  EXPECT_EQ(change.info, false);
  EXPECT_EQ(change.verbose_level, 2u);
  EXPECT_FALSE(change.warning || change.error || change.file || change.format);
}

TEST(LogSettingsTest, WrongNamesAndTypesAreRefused) {
  LogChange change;
  EXPECT_THAT(SetNamedValue("log_colour", true, &change),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'log_colour'")));
  for (const char* name : {"log_info", "log_warning", "log_error", "log_verbose_level"}) {
    EXPECT_THAT(SetNamedValue(name, std::string("1"), &change),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
  for (const char* name : {"log_file", "log_format"}) {
    EXPECT_THAT(SetNamedValue(name, true, &change),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a string")));
  }
}

}  // namespace
}  // namespace reprise::server
