#include "server/security/token_table.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::security {
namespace {

using reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// As sha256sum gives it.
constexpr char kToken[] = "correct horse battery staple";
constexpr char kDigest[] = "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a";

TEST(TokenTable, KnowsTokensByTheirSha256) {
  const TokenTable table = *TokenTable::Parse(std::string("alice:") + kDigest + ":inference\n");
  const TokenOwner* owner = table.Find(kToken);
  ASSERT_NE(owner, nullptr);
  EXPECT_EQ(owner->name, "alice");
  EXPECT_EQ(owner->groups.Text(), "inference");
  EXPECT_EQ(table.Find(std::string(kToken) + " "), nullptr);
  EXPECT_EQ(table.Find(""), nullptr);
  EXPECT_EQ(table.Find(kDigest), nullptr);  // the digest is not a token
}

TEST(TokenTable, WithoutGroupsATokenMayNotControl) {
  const TokenTable table = *TokenTable::Parse(std::string("alice:") + kDigest);
  EXPECT_EQ(table.Find(kToken)->groups.Text(), "inference,metadata,health");
}

TEST(TokenTable, CommentsAndEmptyLinesCountForNothing) {
  const std::string text = std::string("# callers\n\n  alice:") + kDigest + ":control  \r\n\n";
  const TokenTable table = *TokenTable::Parse(text);
  EXPECT_EQ(table.size(), 1);
  EXPECT_EQ(table.Find(kToken)->groups.Text(), "control");
}

TEST(TokenTable, ANameMayHaveTwoTokensWhileOneReplacesTheOther) {
  const std::string next = *NewToken();
  const GroupSet groups = *ParseGroups("inference");
  const TokenTable table = *TokenTable::Parse(*TokenLine("alice", kToken, groups) + "\n" +
                                              *TokenLine("alice", next, groups));
  EXPECT_EQ(table.Find(kToken)->name, "alice");
  EXPECT_EQ(table.Find(next)->name, "alice");
}

TEST(TokenTable, SaysWhichLineIsWrongAndNotWhatItSays) {
  const std::string good = std::string("alice:") + kDigest + "\n";
  const auto expect = [&](const std::string& line, const std::string& words) {
    EXPECT_THAT(TokenTable::Parse(good + line),
                StatusIs(kInvalid, AllOf(HasSubstr("line 2"), HasSubstr(words),
                                         HasSubstr("reprise token"), Not(HasSubstr("hunter2")))))
        << words;
  };
  expect("hunter2hunter2hunter2", "two or three parts");
  expect("bob:hunter2", "64 hexadecimal digits");
  expect("bob:" + std::string(63, 'a') + "g:inference", "64 hexadecimal digits");
  expect(":" + std::string(64, 'a'), "name");
  expect("hunter2 !:" + std::string(64, 'a'), "name");
  expect("bob:" + std::string(64, 'a') + ":hunter2", "group");
  expect("bob:" + std::string(64, 'a') + ":inference:hunter2", "two or three parts");
  expect("bob:" + std::string(kDigest), "repeats");
}

TEST(TokenTable, AFileWithoutTokensIsAMistake) {
  EXPECT_THAT(TokenTable::Parse("# nobody yet\n"), StatusIs(kInvalid, HasSubstr("no token")));
}

TEST(TokenLine, IsReadBack) {
  EXPECT_EQ(*TokenLine("alice", kToken, *ParseGroups("control,inference")),
            std::string("alice:") + kDigest + ":inference,control");
}

TEST(TokenLine, RefusesWhatCannotBeSafe) {
  const GroupSet groups = *ParseGroups("inference");
  EXPECT_THAT(TokenLine("a:b", kToken, groups), StatusIs(kInvalid, HasSubstr("'a:b'")));
  EXPECT_THAT(TokenLine("alice", "password", groups),
              StatusIs(kInvalid, AllOf(HasSubstr("guessed"), Not(HasSubstr("password")))));
}

TEST(NewToken, IsLongPlainAndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string token = *NewToken();
    EXPECT_EQ(token.size(), 43);  // 256 bits, six per character
    EXPECT_EQ(token.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789-_"),
              std::string::npos);
    EXPECT_TRUE(seen.insert(token).second);
  }
}

}  // namespace
}  // namespace reprise::server::security
