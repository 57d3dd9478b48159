#include "server/security/reloaded_files.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::security {
namespace {

using reprise::testing::IsOk;
using reprise::testing::StatusIs;
using ::testing::HasSubstr;

using Numbers = ReloadedFiles<int>;

absl::StatusOr<int> Sum(const std::vector<std::string>& contents) {
  int sum = 0;
  for (const std::string& text : contents) {
    int number = 0;
    if (!absl::SimpleAtoi(text, &number)) return absl::InvalidArgumentError("not a number");
    sum += number;
  }
  return sum;
}

TEST(ReloadedFiles, AreReadWhenOpened) {
  const reprise::testing::TemporaryDirectory folder;
  const auto files = Numbers::Open({folder.Write("a", "1"), folder.Write("b", "2")}, Sum);
  ASSERT_THAT(files, IsOk());
  EXPECT_EQ(*(*files)->current(), 3);
  EXPECT_FALSE(*(*files)->Refresh());
}

TEST(ReloadedFiles, CannotBeOpenedWhenTheyCannotBeUsed) {
  const reprise::testing::TemporaryDirectory folder;
  EXPECT_THAT(Numbers::Open({folder.Write("a", "x")}, Sum),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a number")));
  EXPECT_THAT(Numbers::Open({folder / "none"}, Sum),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(ReloadedFiles, FollowChanges) {
  const reprise::testing::TemporaryDirectory folder;
  const auto files = *Numbers::Open({folder.Write("a", "1")}, Sum);
  const auto before = files->current();
  folder.Write("a", "7");
  EXPECT_TRUE(*files->Refresh());
  EXPECT_EQ(*files->current(), 7);
  EXPECT_EQ(*before, 1);  // whoever holds the old value keeps it
}

TEST(ReloadedFiles, FollowAFolderThatIsSwappedByItsLink) {
  const reprise::testing::TemporaryDirectory folder;
  folder.Write("old/a", "1");
  folder.Write("new/a", "2");
  std::filesystem::create_symlink("old", folder / "now");
  const auto files = *Numbers::Open({folder / "now/a"}, Sum);
  std::filesystem::create_symlink("new", folder / "next");
  std::filesystem::rename(folder / "next", folder / "now");
  EXPECT_TRUE(*files->Refresh());
  EXPECT_EQ(*files->current(), 2);
}

TEST(ReloadedFiles, KeepTheOldValueAndTellEachFailureOnce) {
  const reprise::testing::TemporaryDirectory folder;
  const std::string path = folder.Write("a", "1");
  const auto files = *Numbers::Open({path}, Sum);
  folder.Write("a", "broken");
  EXPECT_THAT(files->Refresh(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("number")));
  EXPECT_FALSE(*files->Refresh());
  std::filesystem::remove(path);
  EXPECT_THAT(files->Refresh(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("a")));
  EXPECT_FALSE(*files->Refresh());
  EXPECT_EQ(*files->current(), 1);
  folder.Write("a", "1");
  EXPECT_FALSE(*files->Refresh());  // as if nothing had been
  folder.Write("a", "broken");
  EXPECT_THAT(files->Refresh(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("number")));
  folder.Write("a", "2");
  EXPECT_TRUE(*files->Refresh());
  EXPECT_EQ(*files->current(), 2);
}

}  // namespace
}  // namespace reprise::server::security
