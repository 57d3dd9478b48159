#include "server/http/json_document.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::http {
namespace {

using ::reprise::testing::IsOk;
using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = JsonElements::Kind;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

// The elements of one input whose `data` is this text.
absl::StatusOr<JsonElements> Lift(const std::string& data) {
  auto document = ParseJson(absl::StrCat(R"({"inputs":[{"data":)", data, "}]}"), DataLists::kLift);
  if (!document.ok()) return document.status();
  EXPECT_EQ(document->root["inputs"][0]["data"], 0);
  return document->elements.at(0);
}

TEST(ParseJsonTest, KeepsADocumentAsItIs) {
  const std::string text = R"({"a":[1,-2,0.5,true,null,"x"],"inputs":[{"data":[[1],[2]]}]})";
  const auto document = ParseJson(text, DataLists::kKeep);
  ASSERT_THAT(document, IsOk());
  EXPECT_EQ(document->root, nlohmann::json::parse(text));
  EXPECT_TRUE(document->elements.empty());
}

TEST(ParseJsonTest, LiftsTheDataOfEachInputAndNoOtherList) {
  const auto document = ParseJson(
      R"({"data":[1],"inputs":[{"shape":[2],"data":[1,2]},{"data":[],"parameters":{"data":[3]}}]})",
      DataLists::kLift);
  ASSERT_THAT(document, IsOk());
  ASSERT_EQ(document->elements.size(), 2u);
  EXPECT_THAT(document->elements[0].integers, ElementsAre(1, 2));
  EXPECT_EQ(document->elements[1].kind, Kind::kNone);
  EXPECT_EQ(document->root["data"], nlohmann::json({1}));
  EXPECT_EQ(document->root["inputs"][0]["shape"], nlohmann::json({2}));
  EXPECT_EQ(document->root["inputs"][1]["data"], 1);
  EXPECT_EQ(document->root["inputs"][1]["parameters"]["data"], nlohmann::json({3}));
}

TEST(ParseJsonTest, TellsKindsApart) {
  EXPECT_THAT(Lift("[true,false]")->integers, ElementsAre(1, 0));
  EXPECT_EQ(Lift("[true]")->kind, Kind::kBools);
  EXPECT_THAT(Lift("[-9223372036854775808,5]")->integers,
              ElementsAre(std::numeric_limits<std::int64_t>::min(), 5));
  EXPECT_THAT(Lift(R"(["a","\u00e9"])")->texts, ElementsAre("a", "\xc3\xa9"));
  EXPECT_THAT(Lift("[1,2.5,3]")->reals, ElementsAre(1, 2.5, 3));
  EXPECT_TRUE(Lift("[1,2.5,3]")->integers.empty());
}

TEST(ParseJsonTest, KeepsUnsignedNumbersBeyondInt64) {
  const auto elements = Lift("[1,18446744073709551615]");
  ASSERT_THAT(elements, IsOk());
  EXPECT_EQ(elements->kind, Kind::kIntegers);
  EXPECT_TRUE(elements->above_int64);
  EXPECT_THAT(elements->integers, ElementsAre(1, -1));
  EXPECT_THAT(Lift("[18446744073709551615,0.5]")->reals, ElementsAre(18446744073709551615.0, 0.5));
}

TEST(ParseJsonTest, NoDatatypeHoldsBothAndSoTheyAreReals) {
  EXPECT_THAT(Lift("[-1,9223372036854775808]")->reals, ElementsAre(-1, 9223372036854775808.0));
  EXPECT_THAT(Lift("[9223372036854775808,-1]")->reals, ElementsAre(9223372036854775808.0, -1));
}

TEST(ParseJsonTest, SaysHowListsWereNested) {
  EXPECT_THAT(Lift("[1,2,3]")->lengths, ElementsAre(3));
  EXPECT_THAT(Lift("[[1,2,3],[4,5,6]]")->lengths, ElementsAre(2, 3));
  EXPECT_THAT(Lift("[[[1],[2]]]")->lengths, ElementsAre(1, 2, 1));
  EXPECT_THAT(Lift("[]")->lengths, ElementsAre(0));
  EXPECT_THAT(Lift("[[],[]]")->lengths, ElementsAre(2, 0));
  EXPECT_FALSE(Lift("[[1,2],[3,4]]")->uneven);
  EXPECT_TRUE(Lift("[[1,2],[3]]")->uneven);
  EXPECT_TRUE(Lift("[1,[2]]")->uneven);
  EXPECT_TRUE(Lift("[[1],2]")->uneven);
  EXPECT_TRUE(Lift("[[[1]],[2]]")->uneven);
}

TEST(ParseJsonTest, RefusesListsThatMixKinds) {
  for (const char* data : {"[1,\"a\"]", "[true,1]", "[\"a\",0.5]", "[1,null]", "[null]",
                           "[{\"a\":1}]", "[0.5,true]"}) {
    EXPECT_THAT(Lift(data), StatusIs(kInvalid, HasSubstr("all of one kind"))) << data;
  }
}

TEST(ParseJsonTest, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "{]", "nul", "{\"a\":1}}", "[1,]", "{\"a\" 1}", "'a'", "NaN",
                           "\"\xff\"", "[1e]", "\x01", "// c\n1"}) {
    EXPECT_THAT(ParseJson(text, DataLists::kLift), StatusIs(kInvalid, HasSubstr("not valid JSON")))
        << text;
  }
  EXPECT_THAT(ParseJson("[1e999]", DataLists::kLift),
              StatusIs(kInvalid, HasSubstr("out of range")));
}

TEST(ParseJsonTest, RefusesAKeyThatIsThereTwice) {
  EXPECT_THAT(ParseJson(R"({"a":1,"a":2})", DataLists::kLift),
              StatusIs(kInvalid, HasSubstr("'a' is there twice")));
}

TEST(ParseJsonTest, BoundsDepthInAndOutsideOfData) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_THAT(ParseJson(nested(100), DataLists::kLift), IsOk());
  EXPECT_THAT(ParseJson(nested(101), DataLists::kLift), StatusIs(kInvalid, HasSubstr("deeper")));
  EXPECT_THAT(ParseJson(nested(1'000'000), DataLists::kLift),
              StatusIs(kInvalid, HasSubstr("deeper")));
  EXPECT_THAT(Lift(nested(90)), IsOk());
  EXPECT_THAT(Lift(nested(101)), StatusIs(kInvalid, HasSubstr("deeper")));
}

TEST(ParseJsonTest, BoundsTheNumberOfValuesOutsideOfData) {
  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  many += "]";
  EXPECT_THAT(ParseJson(many, DataLists::kLift), StatusIs(kInvalid, HasSubstr("100000 values")));
  EXPECT_EQ(Lift(many)->integers.size(), 100'001u);
}

}  // namespace
}  // namespace reprise::server::http
