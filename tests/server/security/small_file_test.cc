#include "server/security/small_file.h"

#include <sys/stat.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::security {
namespace {

using reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(SmallFile, IsReadWhole) {
  const reprise::testing::TemporaryDirectory folder;
  std::string bytes(100'000, 'x');
  bytes[7] = '\0';
  EXPECT_EQ(*ReadSmallFile(folder.Write("a", bytes)), bytes);
  EXPECT_EQ(*ReadSmallFile(folder.Write("b", "")), "");
}

TEST(SmallFile, MustBeThere) {
  EXPECT_THAT(ReadSmallFile("/nowhere/at/all"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/at/all")));
}

TEST(SmallFile, MustBeAFile) {
  const reprise::testing::TemporaryDirectory folder;
  EXPECT_THAT(ReadSmallFile(folder.path()), StatusIs(kInvalid, HasSubstr("not a file")));
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(ReadSmallFile(pipe), StatusIs(kInvalid, HasSubstr("not a file")));
}

TEST(SmallFile, MustBeSmall) {
  const reprise::testing::TemporaryDirectory folder;
  const std::string path = folder.Write("a", std::string((1 << 20) + 1, 'x'));
  EXPECT_THAT(ReadSmallFile(path), StatusIs(kInvalid, HasSubstr("at most")));
}

}  // namespace
}  // namespace reprise::server::security
