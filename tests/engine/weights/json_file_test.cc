#include "engine/weights/json_file.h"

#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::weights {
namespace {

using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::HasSubstr;

TEST(JsonFileTest, WritesWhatItReads) {
  const TemporaryDirectory directory;
  const nlohmann::json value = {{"name", "Grüße"}, {"sizes", {1, 2.5, nullptr}}};
  ASSERT_OK(WriteJsonFile(directory / "a.json", value));
  const auto read = ReadJsonFile(directory / "a.json");
  ASSERT_OK(read);
  EXPECT_EQ(*read, value);
}

TEST(JsonFileTest, NamesAMissingFile) {
  EXPECT_THAT(ReadJsonFile("/nonexistent/a.json"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/a.json")));
}

TEST(JsonFileTest, RefusesADirectory) {
  const TemporaryDirectory directory;
  EXPECT_THAT(ReadJsonFile(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a regular file")));
}

TEST(JsonFileTest, SaysWhereTheSyntaxBreaks) {
  EXPECT_THAT(ParseJson("{\"a\": }", "the text"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the text is not valid JSON: error at byte 7")));
}

TEST(JsonFileTest, RefusesAnEmptyFile) {
  const TemporaryDirectory directory;
  EXPECT_THAT(ReadJsonFile(directory.Write("a.json", "")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not valid JSON")));
}

TEST(JsonFileTest, RefusesAFileThatIsTooLarge) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("a.json", "{}");
  std::filesystem::resize_file(path, (std::size_t{16} << 20) + 1);
  EXPECT_THAT(ReadJsonFile(path),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected at most")));
}

TEST(JsonFileTest, RefusesTheSameKeyTwiceInOneObject) {
  EXPECT_THAT(ParseJson(R"({"a": {"b": 1, "b": 2}})", "the text"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"b\" twice")));
}

TEST(JsonFileTest, TakesTheSameKeyInDifferentObjects) {
  EXPECT_OK(ParseJson(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})", "the text"));
}

TEST(JsonFileTest, TakesSixtyFourLevelsAndNoMore) {
  EXPECT_OK(ParseJson(std::string(64, '[') + std::string(64, ']'), "the text"));
  EXPECT_THAT(ParseJson(std::string(65, '[') + std::string(65, ']'), "the text"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deeper than 64")));
}

TEST(JsonFileTest, CutsLongValuesInMessages) {
  EXPECT_EQ(JsonText(std::string(100, 'x')), "\"" + std::string(59, 'x') + "...");
  EXPECT_EQ(JsonText({{"a", 1}}), R"({"a":1})");
}

}  // namespace
}  // namespace reprise::engine::weights
