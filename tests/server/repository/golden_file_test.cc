#include "server/repository/golden_file.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::server::repository {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kGolden[] = R"({
  "tolerance": {"max_abs": 0.25, "min_cosine": 0.5},
  "samples": [
    {"text": "a b", "outputs": {"sentence_embedding": [0.5, -1]}},
    {"input_ids": [5, 6], "token_type_ids": [0, 1],
     "outputs": {"last_hidden_state": [[1, 2], [3, 4]]}}
  ]})";

TEST(GoldenFileTest, ReadsSamplesOfTextAndOfIds) {
  const auto golden = ParseGolden(nlohmann::json::parse(kGolden));
  ASSERT_OK(golden);
  EXPECT_EQ(golden->tolerance.max_abs, 0.25);
  EXPECT_EQ(golden->tolerance.min_cosine, 0.5);
  ASSERT_EQ(golden->samples.size(), 2u);
  EXPECT_EQ(golden->samples[0].text, "a b");
  EXPECT_THAT(golden->samples[0].outputs.at("sentence_embedding"),
              ElementsAre(ElementsAre(0.5f, -1.0f)));
  EXPECT_THAT(golden->samples[1].input_ids, ElementsAre(5, 6));
  EXPECT_THAT(golden->samples[1].token_type_ids, ElementsAre(0, 1));
  EXPECT_THAT(golden->samples[1].outputs.at("last_hidden_state"),
              ElementsAre(ElementsAre(1.0f, 2.0f), ElementsAre(3.0f, 4.0f)));
}

TEST(GoldenFileTest, WritesWhatItReadsBackEqual) {
  const auto golden = ParseGolden(nlohmann::json::parse(kGolden));
  ASSERT_OK(golden);
  EXPECT_EQ(ToJson(*golden), nlohmann::json::parse(kGolden));
  GoldenFile third = *golden;
  third.samples[0].outputs["sentence_embedding"] = {{0.1f, 1.0f / 3}};
  EXPECT_THAT(ToJson(third).dump(), HasSubstr("[0.1,0.33333334]"));
}

struct BadFile {
  const char* text;
  const char* complaint;
};

TEST(GoldenFileTest, SaysWhatIsWrong) {
  const BadFile cases[] = {
      {"[]", "the file is []"},
      {R"({"sample": []})", "'sample'"},
      {R"({"samples": []})", "has no 'tolerance'"},
      {R"({"tolerance": {}, "samples": []})", "tolerance is {}"},
      {R"({"tolerance": {"cosine": 1}, "samples": []})", "'cosine'"},
      {R"({"tolerance": {"max_abs": -1}, "samples": []})", "tolerance.max_abs is -1"},
      {R"({"tolerance": {"min_cosine": 2}, "samples": []})", "tolerance.min_cosine is 2"},
      {R"({"tolerance": {"min_cosine": "1"}, "samples": []})", "tolerance.min_cosine is \"1\""},
      {R"({"tolerance": {"max_abs": 1}, "samples": []})", "samples is []"},
      {R"({"tolerance": {"max_abs": 1}})", "samples is null"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [3]})", "samples[0] is 3"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"outputs": {"x": [1]}}]})", "none of 'text'"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": "a", "input_ids": [1]}]})",
       "both of 'text'"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": 1}]})", "samples[0].text is 1"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"input_ids": [1.5]}]})",
       "samples[0].input_ids is [1.5]"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"input_ids": []}]})",
       "samples[0].input_ids is []"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [
           {"input_ids": [1], "token_type_ids": [0, 0], "outputs": {"x": [1]}}]})",
       "2 token_type_ids; expected 1"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": "a"}]})", "no 'outputs'"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": "a", "outputs": {"x": []}}]})",
       "samples[0].outputs.x is []"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": "a", "outputs": {"x": [[1], 2]}}]})",
       "samples[0].outputs.x is 2"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": "a", "outputs": {"x": [1e99]}}]})",
       "finite"},
      {R"({"tolerance": {"max_abs": 1}, "samples": [{"text": "a", "output": {}}]})", "'output'"},
  };
  for (const BadFile& bad : cases) {
    EXPECT_THAT(ParseGolden(nlohmann::json::parse(bad.text)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.complaint)))
        << bad.text;
  }
}

}  // namespace
}  // namespace reprise::server::repository
