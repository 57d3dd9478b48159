// The key "attention_reuse" of config.json: what it may hold, and how wrong values are answered.
#include <string>
#include <vector>

#include "engine/reuse/reuse_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::engine::reuse {
namespace {

using nlohmann::json;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<ReusePlan> Read(const std::string& text, int num_layers = 4, int num_heads = 2) {
  return ReusePlan::FromJson(json::parse(text), num_layers, num_heads);
}

void ExpectRoundTrip(const absl::StatusOr<ReusePlan>& plan, const std::string& text) {
  ASSERT_OK(plan);
  EXPECT_EQ(plan->ToJson(), json::parse(text));
  const auto again = ReusePlan::FromJson(plan->ToJson(), plan->num_layers(), plan->num_heads());
  ASSERT_OK(again);
  EXPECT_EQ(*again, *plan);
  EXPECT_EQ(again->name(), plan->name());
}

TEST(ReusePlanJsonTest, GeneratorsComeBackAsTheyWere) {
  ExpectRoundTrip(ReusePlan::Proposed(12, 12, 6, 10), R"({"heads": 6, "layers": 10})");
  ExpectRoundTrip(ReusePlan::Alternate(12, 12, 6), R"({"variant": "alternate", "layers": 6})");
  ExpectRoundTrip(ReusePlan::AllEnd(12, 12, 6), R"({"variant": "all_end", "layers": 6})");
  ExpectRoundTrip(ReusePlan::Skip(12, 12, 6), R"({"variant": "skip", "layers": 6})");
}

TEST(ReusePlanJsonTest, AnExactPlanIsNull) {
  ExpectRoundTrip(ReusePlan::Exact(4, 2), "null");
  EXPECT_TRUE(ReusePlan::Proposed(4, 2, 0, 0)->ToJson().is_null());
}

TEST(ReusePlanJsonTest, TablesAreWrittenResolved) {
  const auto plan = Read(R"({"source": [[[0,0],[0,1]], [[1,0],[0,0]], [], [[1,1],[1,0]]],
                             "has_attention": [true, true, false, true]})");
  ExpectRoundTrip(plan, R"({"source": [[[0,0],[0,1]], [[1,0],[0,0]], [[2,0],[2,1]], [[0,0],[1,0]]],
                            "has_attention": [true, true, false, true]})");
}

TEST(ReusePlanJsonTest, AttentionIsEverywhereWhenNotGiven) {
  const auto plan = Read(R"({"source": [[[0,0]], [[0,0]]]})", 2, 1);
  ASSERT_OK(plan);
  EXPECT_TRUE(plan->has_attention(1));
  EXPECT_EQ(plan->source(1, 0), (HeadRef{0, 0}));
}

TEST(ReusePlanJsonTest, TheModelsOwnSizeIsCheckedFirst) {
  EXPECT_THAT(Read("null", 0, 2), StatusIs(kInvalid, HasSubstr("0 layers; expected 1 to 1024")));
  EXPECT_THAT(Read(R"({"heads": 1, "layers": 1})", 4, 2000000000),
              StatusIs(kInvalid, HasSubstr("heads per layer; expected 1 to 1024")));
}

TEST(ReusePlanJsonTest, OnlyObjectsAreRead) {
  for (const char* text : {"true", "3", "-1.5", R"("12x6")", "[1, 2]"}) {
    EXPECT_THAT(Read(text), StatusIs(kInvalid, HasSubstr("expected an object with exactly one of")))
        << text;
  }
}

TEST(ReusePlanJsonTest, MixedOrMissingKeysNameWhatWasFound) {
  EXPECT_THAT(Read("{}"), StatusIs(kInvalid, HasSubstr("attention_reuse has no keys")));
  EXPECT_THAT(Read(R"({"heads": 1})"), StatusIs(kInvalid, HasSubstr("the keys \"heads\"; exp")));
  EXPECT_THAT(Read(R"({"heads": 1, "layers": 1, "variant": "skip"})"),
              StatusIs(kInvalid, AllOf(HasSubstr("\"heads\", \"layers\", \"variant\""),
                                       HasSubstr("{variant, layers}"))));
  EXPECT_THAT(Read(R"({"has_attention": [true, true, true, true]})"),
              StatusIs(kInvalid,
                       "attention_reuse has the keys \"has_attention\"; expected exactly one of "
                       "{heads, layers}, "
                       "{variant, layers} or {source, has_attention}, where "
                       "has_attention may be left out"));
}

TEST(ReusePlanJsonTest, CountsMustBeWholeNumbersInRange) {
  for (const char* bad : {"true", "false", "null", "1.0", "0.5", "\"1\"", "[1]", "{}", "-1", "3",
                          "-9223372036854775808", "9223372036854775807", "18446744073709551615",
                          "18446744073709551616", "4294967297", "1e300"}) {
    EXPECT_THAT(Read(std::string(R"({"layers": 1, "heads": )") + bad + "}"),
                StatusIs(kInvalid, AllOf(HasSubstr("attention_reuse.heads is "),
                                         HasSubstr("expected a whole number from 0 to 2: the model "
                                                   "has 2 heads in each layer"))))
        << bad;
  }
  for (const char* bad : {"true", "4", "-1", "2.0", "4294967297"}) {
    EXPECT_THAT(Read(std::string(R"({"heads": 1, "layers": )") + bad + "}"),
                StatusIs(kInvalid, AllOf(HasSubstr(std::string("attention_reuse.layers is ") + bad),
                                         HasSubstr("expected a whole number from 0 to 3"))))
        << bad;
  }
}

TEST(ReusePlanJsonTest, VariantsMustBeKnownAndInRange) {
  EXPECT_THAT(Read(R"({"variant": "every_other", "layers": 1})"),
              StatusIs(kInvalid, AllOf(HasSubstr("attention_reuse.variant is \"every_other\""),
                                       HasSubstr("\"alternate\", \"all_end\" or \"skip\""))));
  EXPECT_THAT(Read(R"({"variant": true, "layers": 1})"), StatusIs(kInvalid, HasSubstr("is true")));
  EXPECT_THAT(Read(R"({"variant": "alternate", "layers": true})"),
              StatusIs(kInvalid, HasSubstr("attention_reuse.layers is true")));
  EXPECT_THAT(Read(R"({"variant": "alternate", "layers": 3})"),
              StatusIs(kInvalid, HasSubstr("alternate reuse in 3 layers; expected 0 to 2")));
  EXPECT_THAT(Read(R"({"variant": "skip", "layers": 99999999999})"),
              StatusIs(kInvalid, HasSubstr("attention_reuse.layers is 99999999999")));
}

TEST(ReusePlanJsonTest, TablesMustHaveTheModelsShape) {
  EXPECT_THAT(Read(R"({"source": 7})"),
              StatusIs(kInvalid, HasSubstr("attention_reuse.source is 7; expected an array of 4")));
  EXPECT_THAT(Read(R"({"source": [[[0,0],[0,1]]]})"),
              StatusIs(kInvalid, HasSubstr("source is an array of 1; expected an array of 4")));
  EXPECT_THAT(Read(R"({"source": [[[0,0],[0,1]], [[0,0]], [], []]})"),
              StatusIs(kInvalid, HasSubstr("source[1] is an array of 1; expected an array of 2")));
  EXPECT_THAT(Read(R"({"source": [[[0,0],[0,1]], {}, [], []]})"),
              StatusIs(kInvalid, HasSubstr("source[1] is an object; expected an array of 2")));
}

TEST(ReusePlanJsonTest, EntriesMustBePairsOfWholeNumbersInTheModel) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[true,0]", "[true, 0]"},
      {"[0,1.0]", "[0, 1.0]"},
      {"[0,\"1\"]", "[0, \"1\"]"},
      {"[4,0]", "[4, 0]"},
      {"[0,2]", "[0, 2]"},
      {"[-1,0]", "[-1, 0]"},
      {"[4294967296,0]", "[4294967296, 0]"},
      {"[18446744073709551615,0]", "[18446744073709551615, 0]"},
      {"[0]", "an array of 1"},
      {"[0,0,0]", "an array of 3"},
      {"[[0],{}]", "[an array of 1, an object]"},
      {"0", "0"},
      {"null", "null"}};
  for (const auto& [entry, described] : cases) {
    EXPECT_THAT(
        Read(R"({"source": [[[0,0],[0,1]], [[1,0],)" + entry + R"(], [], []]})"),
        StatusIs(kInvalid,
                 AllOf(HasSubstr("attention_reuse.source[1][1] is " + described + "; expected"),
                       HasSubstr("layer to 3 and head to 1: correct this entry"))));
  }
}

TEST(ReusePlanJsonTest, EntriesMustPointBackward) {
  EXPECT_THAT(Read(R"({"source": [[[0,0],[0,1]], [[2,0],[1,1]], [[2,0],[2,1]], [[3,0],[3,1]]]})"),
              StatusIs(kInvalid, HasSubstr("source[1][0] is [2, 0], a head of a later layer")));
}

TEST(ReusePlanJsonTest, HasAttentionMustBeOneFlagPerLayer) {
  const std::string source = R"({"source": [[[0,0]], [[0,0]]], "has_attention": )";
  EXPECT_THAT(
      Read(source + "[true]}", 2, 1),
      StatusIs(kInvalid, HasSubstr("has_attention is an array of 1; expected an array of 2")));
  EXPECT_THAT(Read(source + "true}", 2, 1), StatusIs(kInvalid, HasSubstr("is true; expected an")));
  EXPECT_THAT(Read(source + "[true, 1]}", 2, 1),
              StatusIs(kInvalid, HasSubstr("has_attention[1] is 1; expected true or false")));
  EXPECT_THAT(Read(source + "[false, false]}", 2, 1),
              StatusIs(kInvalid, HasSubstr("at least one layer with attention")));
}

TEST(ReusePlanJsonTest, MessagesStayShortAndPrintable) {
  json value = {{"variant", std::string(100000, '\xff') + "\n"}, {"layers", 1}};
  const auto long_variant = ReusePlan::FromJson(value, 4, 2);
  ASSERT_THAT(long_variant, StatusIs(kInvalid, HasSubstr("\\xff")));
  EXPECT_LT(long_variant.status().message().size(), 300u);

  json many_keys = json::object();
  for (int i = 0; i < 1000; ++i) many_keys[std::to_string(i) + std::string(1000, 'k')] = i;
  const auto keys = ReusePlan::FromJson(many_keys, 4, 2);
  ASSERT_THAT(keys, StatusIs(kInvalid, HasSubstr("...")));
  EXPECT_LT(keys.status().message().size(), 600u);
}

TEST(ReusePlanJsonTest, DeepNestingIsRefusedWithoutRecursion) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  EXPECT_THAT(Read(R"({"layers": 1, "heads": )" + deep + "}"),
              StatusIs(kInvalid, HasSubstr("array")));
  EXPECT_THAT(Read(R"({"source": )" + deep + "}"), StatusIs(kInvalid, HasSubstr("array")));
  EXPECT_THAT(Read(R"({"source": [)" + deep + ",[],[],[]]}"),
              StatusIs(kInvalid, HasSubstr("array")));
}

}  // namespace
}  // namespace reprise::engine::reuse
