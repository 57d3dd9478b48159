// Text in and out of files: text_lines.h, whole_file.h.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/commands/text_lines.h"
#include "server/commands/whole_file.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TextFilesTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) { return scratch_.path() + "/" + name; }
  std::string Read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(Path(name)).rdbuf();
    return text.str();
  }
  ::reprise::testing::TemporaryDirectory scratch_;
};

TEST_F(TextFilesTest, LinesLoseTheirEndsAndEmptyOnesAreLeftOut) {
  std::ofstream(Path("texts")) << "one\n\ntwo words\r\n\r\nlast, without an end";
  EXPECT_THAT(*ReadTextLines(Path("texts")),
              ElementsAre("one", "two words", "last, without an end"));
  std::ofstream(Path("nothing"));
  EXPECT_THAT(*ReadTextLines(Path("nothing")), ElementsAre());
}

TEST_F(TextFilesTest, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(ReadTextLines(Path("missing")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("missing")));
  EXPECT_THAT(ReadTextLines(scratch_.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("cannot read")));
}

TEST_F(TextFilesTest, AFileIsReplacedWhole) {
  ASSERT_OK(WriteWholeFile(Path("out"), "first"));
  ASSERT_OK(WriteWholeFile(Path("out"), "second"));
  EXPECT_EQ(Read("out"), "second\n");
  EXPECT_FALSE(std::filesystem::exists(Path("out.unfinished")));
}

TEST_F(TextFilesTest, WhatIsNoFileIsLeftAlone) {
  EXPECT_THAT(WriteWholeFile(scratch_.path(), "text"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no file")));
  EXPECT_THAT(WriteWholeFile(Path("no/such/folder"), "text"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("folder")));
}

}  // namespace
}  // namespace reprise::server::commands
