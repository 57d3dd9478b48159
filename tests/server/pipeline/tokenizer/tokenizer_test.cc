#include "server/pipeline/tokenizer/tokenizer.h"

#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::pipeline {
namespace {

using reprise::testing::StatusIs;
using reprise::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// A WordPiece vocabulary of 16 entries. The file asks for truncation to 4 tokens and padding to 12,
// neither of which may be seen, and gives the text type id 1 and its special tokens 0.
constexpr char kTinyTokenizer[] = REPRISE_TEST_DATA_DIR "/tokenizer/tiny_wordpiece.json";
constexpr char kDemoTokenizer[] = REPRISE_DEPS_DIR "/models/all-MiniLM-L6-v2/tokenizer.json";
constexpr char kDemoOracle[] = REPRISE_TEST_DATA_DIR "/minilm_oracle.json";

enum TinyId { kUnk = 1, kCls = 2, kSep = 3, kThe = 4, kCat = 5, kSat = 6, kOn = 7, kMat = 9 };
constexpr int kPluralS = 10, kDot = 13, kAccentedE = 14, kNote = 15;

nlohmann::json ReadJson(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << "cannot open " << path;
  return nlohmann::json::parse(file);
}

std::unique_ptr<Tokenizer> LoadOrDie(const std::string& path) {
  auto tokenizer = Tokenizer::FromFile(path);
  EXPECT_OK(tokenizer);
  return std::move(tokenizer).value();
}

std::vector<int32_t> Ids(const Tokenizer& tokenizer, std::string_view text) {
  const auto encoding = tokenizer.Encode(text);
  EXPECT_OK(encoding);
  return encoding.value().ids;
}

std::vector<int32_t> Ids(const Tokenizer& tokenizer, std::string_view text, size_t max_tokens) {
  const auto encoding = tokenizer.Encode(text, max_tokens);
  EXPECT_OK(encoding);
  return encoding.value().ids;
}

TEST(TokenizerTest, SplitsIntoWordPiecesBetweenSpecialTokens) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "The cats sat."),
              ElementsAre(kCls, kThe, kCat, kPluralS, kSat, kDot, kSep));
}

TEST(TokenizerTest, TypeIdsComeFromThePostProcessor) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  const auto encoding = tokenizer->Encode("the cat");
  ASSERT_OK(encoding);
  EXPECT_THAT(encoding->type_ids, ElementsAre(0, 1, 1, 0));
}

TEST(TokenizerTest, StoredTruncationAndPaddingAreOff) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "cat"), SizeIs(3));
  EXPECT_THAT(Ids(*tokenizer, "cat cat cat cat cat cat cat cat cat cat cat cat"), SizeIs(14));
}

TEST(TokenizerTest, EmptyTextIsItsSpecialTokens) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, ""), ElementsAre(kCls, kSep));
  EXPECT_THAT(Ids(*tokenizer, std::string_view()), ElementsAre(kCls, kSep));
}

TEST(TokenizerTest, UnknownWordIsTheUnknownToken) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "the zebra"), ElementsAre(kCls, kThe, kUnk, kSep));
}

TEST(TokenizerTest, TextBeyondAsciiIsTextToo) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "é cat"), ElementsAre(kCls, kAccentedE, kCat, kSep));
}

TEST(TokenizerTest, NulCharacterDoesNotEndTheText) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(Ids(*tokenizer, "the \0 cat"sv), ElementsAre(kCls, kThe, kCat, kSep));
}

TEST(TokenizerTest, AddedTokenIsFoundInsideText) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "cat[NOTE]mat"), ElementsAre(kCls, kCat, kNote, kMat, kSep));
}

TEST(TokenizerTest, VocabSizeCountsAddedTokens) {
  EXPECT_EQ(LoadOrDie(kTinyTokenizer)->vocab_size(), kNote + 1);
}

TEST(TokenizerTest, TruncationKeepsTheSpecialTokens) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "the cat sat on the mat", 5),
              ElementsAre(kCls, kThe, kCat, kSat, kSep));
}

TEST(TokenizerTest, TruncationGivesTypeIdsAsLongAsIds) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  const auto encoding = tokenizer->Encode("the cat sat on the mat", 5);
  ASSERT_OK(encoding);
  EXPECT_THAT(encoding->type_ids, ElementsAre(0, 1, 1, 1, 0));
}

TEST(TokenizerTest, TextOfJustTheLimitIsWhole) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_EQ(Ids(*tokenizer, "the cat sat", 5), Ids(*tokenizer, "the cat sat"));
}

TEST(TokenizerTest, LimitOfTheSpecialTokensLeavesOnlyThem) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(Ids(*tokenizer, "the cat sat", 2), ElementsAre(kCls, kSep));
}

TEST(TokenizerTest, LimitBelowTheSpecialTokensIsInvalid) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(tokenizer->Encode("the cat sat", 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("adds 2 special tokens")));
}

TEST(TokenizerTest, FileMayAskToLoseTheBeginning) {
  nlohmann::json json = ReadJson(kTinyTokenizer);
  json["truncation"]["direction"] = "Left";
  const TemporaryDirectory directory;
  const std::string file = directory.Write("tokenizer.json", json.dump());
  const auto tokenizer = LoadOrDie(file);
  EXPECT_THAT(Ids(*tokenizer, "the cat sat on the mat", 5),
              ElementsAre(kCls, kOn, kThe, kMat, kSep));
}

TEST(TokenizerTest, InvalidUtf8IsInvalidArgument) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  EXPECT_THAT(tokenizer->Encode("cat \xff"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte 4 of 5")));
}

TEST(TokenizerTest, MissingFileIsNotFound) {
  EXPECT_THAT(Tokenizer::FromFile("/no/such/tokenizer.json"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/tokenizer.json")));
}

TEST(TokenizerTest, FolderIsNotATokenizer) {
  EXPECT_THAT(Tokenizer::FromFile("/"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("cannot read /")));
}

TEST(TokenizerTest, FileOfAnotherKindIsInvalidArgument) {
  for (const std::string content :
       {"", "{", "[]", "{\"version\": \"1.0\"}", "\xff\xfe", "{\"model\": {\"type\": \"BPE\"}}"}) {
    const TemporaryDirectory directory;
    const std::string file = directory.Write("tokenizer.json", content);
    EXPECT_THAT(Tokenizer::FromFile(file),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(file)))
        << content;
  }
}

TEST(TokenizerTest, SpecialTokensBeyondTheVocabularyAreInvalidArgument) {
  nlohmann::json json = ReadJson(kTinyTokenizer);
  json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = {30};
  const TemporaryDirectory directory;
  EXPECT_THAT(Tokenizer::FromFile(directory.Write("tokenizer.json", json.dump())),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("adds the token id 30 to every text; expected ids below 16")));
}

TEST(TokenizerTest, WordWithoutTokenAndWithoutUnknownTokenIsInvalidArgument) {
  nlohmann::json json = ReadJson(kTinyTokenizer);
  json["model"]["unk_token"] = "[MISSING]";
  const TemporaryDirectory directory;
  const std::string file = directory.Write("tokenizer.json", json.dump());
  const auto tokenizer = LoadOrDie(file);
  EXPECT_THAT(tokenizer->Encode("the zebra"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot be tokenized")));
  EXPECT_THAT(Ids(*tokenizer, "the cat"), ElementsAre(kCls, kThe, kCat, kSep));
}

TEST(TokenizerTest, IdBeyondInt32IsInvalidArgument) {
  nlohmann::json json = ReadJson(kTinyTokenizer);
  json["model"]["vocab"]["mat"] = 4'000'000'000u;
  const TemporaryDirectory directory;
  const std::string file = directory.Write("tokenizer.json", json.dump());
  EXPECT_THAT(Tokenizer::FromFile(file),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4000000000")));
}

TEST(TokenizerTest, ThreadsMayShareIt) {
  const auto tokenizer = LoadOrDie(kTinyTokenizer);
  const std::vector<int32_t> expected = Ids(*tokenizer, "the cats sat on a mat");
  std::vector<std::thread> threads;
  std::vector<int> different(4, 0);
  for (int& count : different) {
    threads.emplace_back([&tokenizer, &expected, &count] {
      for (int i = 0; i < 500; ++i) {
        const auto encoding = tokenizer->Encode("the cats sat on a mat");
        if (!encoding.ok() || encoding->ids != expected) ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(different, ElementsAre(0, 0, 0, 0));
}

TEST(DemoTokenizerTest, GivesTheIdsThatThePublishedModelUses) {
  const auto tokenizer = LoadOrDie(kDemoTokenizer);
  const nlohmann::json sentences = ReadJson(kDemoOracle).at("sentences");
  ASSERT_THAT(sentences, Not(SizeIs(0)));
  constexpr size_t kMaxSeqLength = 256;  // of its sentence_bert_config.json
  int truncated = 0;
  for (const nlohmann::json& sentence : sentences) {
    const std::string text = sentence.at("text");
    EXPECT_EQ(Ids(*tokenizer, text, kMaxSeqLength),
              sentence.at("input_ids").get<std::vector<int32_t>>())
        << text;
    truncated += sentence.at("truncated").get<bool>();
  }
  EXPECT_GT(truncated, 0) << "no sentence of the oracle is longer than the limit";
}

TEST(DemoTokenizerTest, VocabSizeIsTheModels) {
  const nlohmann::json config = ReadJson(REPRISE_DEPS_DIR "/models/all-MiniLM-L6-v2/config.json");
  EXPECT_EQ(LoadOrDie(kDemoTokenizer)->vocab_size(), config.at("vocab_size").get<int>());
}

}  // namespace
}  // namespace reprise::server::pipeline
