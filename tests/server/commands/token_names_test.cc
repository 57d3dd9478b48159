#include "server/commands/token_names.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/temporary_directory.h"

namespace reprise::server::commands {
namespace {

using ::testing::ElementsAre;

class TokenNamesTest : public ::testing::Test {
 protected:
  void Write(const std::string& json) { scratch_.Write("tokenizer.json", json); }
  std::vector<std::string> Names() { return TokenNames(scratch_.path(), {0, 2, 7}); }
  ::reprise::testing::TemporaryDirectory scratch_;
};

TEST_F(TokenNamesTest, AreThoseOfTheVocabulary) {
  Write(R"({"model": {"vocab": {"##ing": 2, "a": 0, "b": 1}}})");
  EXPECT_THAT(Names(), ElementsAre("a", "##ing", "#7"));
}

TEST_F(TokenNamesTest, AreThoseOfPiecesInTheirOrder) {
  Write(R"({"model": {"vocab": [["<s>", 0.0], ["x", -1.5], ["y", -2.5]]}})");
  EXPECT_THAT(Names(), ElementsAre("<s>", "y", "#7"));
}

TEST_F(TokenNamesTest, AddedTokensComeOnTop) {
  Write(R"({"added_tokens": [{"id": 7, "content": "[MASK]"}, {"id": 0, "content": "[PAD]"}],
            "model": {"vocab": {"a": 0, "c": 2}}})");
  EXPECT_THAT(Names(), ElementsAre("[PAD]", "c", "[MASK]"));
}

TEST_F(TokenNamesTest, AreNumbersWithoutAVocabulary) {
  EXPECT_THAT(Names(), ElementsAre("#0", "#2", "#7"));  // no file
  for (const char* other :
       {"", "[]", "{}", R"({"model": 1, "added_tokens": 2})", R"({"model": {"vocab": "a"}})",
        R"({"model": {"vocab": [1, [], [2]]}, "added_tokens": [1, {"id": "0", "content": 3}]})"}) {
    Write(other);
    EXPECT_THAT(Names(), ElementsAre("#0", "#2", "#7")) << other;
  }
}

}  // namespace
}  // namespace reprise::server::commands
