#include "engine/weights/staged_directory.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::weights {
namespace {

namespace fs = std::filesystem;
using ::reprise::testing::ReadBytes;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::HasSubstr;

TEST(StagedDirectoryTest, TheTargetAppearsOnCommit) {
  const TemporaryDirectory directory;
  const std::string target = directory / "deep/out";
  auto staged = StagedDirectory::Create(target);
  ASSERT_OK(staged);
  std::ofstream(staged->path() / "file") << "text";
  EXPECT_FALSE(fs::exists(target));
  ASSERT_OK(staged->Commit());
  EXPECT_EQ(ReadBytes(target + "/file"), "text");
  EXPECT_FALSE(fs::exists(staged->path()) && !staged->path().empty());
}

TEST(StagedDirectoryTest, WithoutCommitNothingIsLeft) {
  const TemporaryDirectory directory;
  {
    auto staged = StagedDirectory::Create(directory / "out");
    ASSERT_OK(staged);
    std::ofstream(staged->path() / "file") << "text";
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(StagedDirectoryTest, AnEmptyDirectoryMayStandThere) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "out");
  auto staged = StagedDirectory::Create(directory / "out/");
  ASSERT_OK(staged);
  EXPECT_OK(staged->Commit());
  EXPECT_TRUE(fs::is_directory(directory / "out"));
}

TEST(StagedDirectoryTest, NeverOverwrites) {
  const TemporaryDirectory directory;
  directory.Write("full/file", "old");
  directory.Write("file", "old");
  for (const char* name : {"full", "full/", "file"}) {
    EXPECT_THAT(StagedDirectory::Create(directory / name),
                StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(name)));
  }
  EXPECT_EQ(ReadBytes(directory / "full/file"), "old");
}

TEST(StagedDirectoryTest, WhatAppearsMeanwhileIsNotOverwritten) {
  const TemporaryDirectory directory;
  auto staged = StagedDirectory::Create(directory / "out");
  ASSERT_OK(staged);
  directory.Write("out/file", "theirs");
  EXPECT_FALSE(staged->Commit().ok());
  EXPECT_EQ(ReadBytes(directory / "out/file"), "theirs");
}

TEST(StagedDirectoryTest, RefusesPathsWithoutALastPart) {
  for (const char* path : {"", "/"}) {
    EXPECT_THAT(StagedDirectory::Create(path),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("path of a new directory")));
  }
}

}  // namespace
}  // namespace reprise::engine::weights
