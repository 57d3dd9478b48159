#include "server/commands/state_file.h"

#include <csignal>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using engine::analysis::SimilarityState;
using engine::analysis::SimilarityTable;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kNever = 86400, kAlways = 0;

SimilarityState Wanted() { return {"model", "texts", 10, 2, 2, {}}; }

// Of so many texts in which all heads attend alike.
SimilarityTable TableOf(int texts) {
  const std::uint64_t one = std::uint64_t{1} << 32;
  SimilarityTable::Sums sums;
  sums.texts = texts;
  sums.similarities.assign(6, one * texts);
  sums.squares.assign(6, absl::uint128(one) * one * texts);
  return *SimilarityTable::FromSums(2, 2, sums);
}

class StateFileTest : public ::testing::Test {
 protected:
  std::string path() const { return scratch_ / "state"; }
  bool Exists() const { return !::reprise::testing::ReadBytes(path()).empty(); }
  // What another process would find there.
  std::int64_t TextsInFile(const std::string& weights) {
    StateFile file(path(), kNever);
    EXPECT_OK(file.Open(Wanted()));
    return file.Begun(weights).texts();
  }
  ::reprise::testing::TemporaryDirectory scratch_;
};

TEST_F(StateFileTest, BeginsWithNothingAndKeepsWhatIsMeasured) {
  StateFile file(path(), kAlways);
  ASSERT_OK(file.Open(Wanted()));
  EXPECT_FALSE(Exists());
  EXPECT_EQ(file.Begun("trained").texts(), 0);
  EXPECT_OK(file.Keep("trained", TableOf(3)));
  EXPECT_OK(file.Keep("random", TableOf(1)));
  EXPECT_OK(file.Keep("trained", TableOf(5)));
  EXPECT_EQ(TextsInFile("trained"), 5);
  EXPECT_EQ(TextsInFile("random"), 1);
  EXPECT_EQ(TextsInFile("others"), 0);
}

TEST_F(StateFileTest, WritesNoMoreOftenThanAsked) {
  StateFile file(path(), kNever);
  ASSERT_OK(file.Open(Wanted()));
  ASSERT_OK(file.Save());
  EXPECT_OK(file.Keep("trained", TableOf(3)));
  EXPECT_EQ(TextsInFile("trained"), 0);
  EXPECT_OK(file.Save());
  EXPECT_EQ(TextsInFile("trained"), 3);
}

TEST_F(StateFileTest, ASignalIsWrittenDownFirst) {
  for (const auto& [number, name] : {std::pair(SIGTERM, "SIGTERM"), {SIGINT, "SIGINT"}}) {
    StateFile file(path(), kNever);
    ASSERT_OK(file.Open(Wanted()));
    ASSERT_OK(file.Save());
    EXPECT_EQ(file.signal(), 0);
    raise(number);
    EXPECT_THAT(
        file.Keep("trained", TableOf(4)),
        StatusIs(absl::StatusCode::kCancelled,
                 AllOf(HasSubstr(name), HasSubstr("after 4 of 10 texts"), HasSubstr(path()))));
    EXPECT_EQ(file.signal(), number);
    EXPECT_EQ(TextsInFile("trained"), 4);
  }
}

TEST_F(StateFileTest, AnotherMeasurementIsRefused) {
  StateFile file(path(), kAlways);
  ASSERT_OK(file.Open(Wanted()));
  ASSERT_OK(file.Save());
  SimilarityState other = Wanted();
  other.texts = "others";
  EXPECT_THAT(StateFile(path(), kAlways).Open(other),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("other texts")));
}

TEST_F(StateFileTest, WhatCannotBeReadOrWrittenIsNamed) {
  EXPECT_THAT(StateFile(scratch_.path(), kAlways).Open(Wanted()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(scratch_.path())));
  StateFile file(scratch_ / "no/folder", kAlways);
  ASSERT_OK(file.Open(Wanted()));
  EXPECT_THAT(file.Save(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no/folder")));
}

}  // namespace
}  // namespace reprise::server::commands
