#include "server/repository/model_policy.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace reprise::server::repository {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ModelPolicy, EmptyObjectKeepsTheDefaults) {
  ModelServingOptions defaults;
  defaults.executors = 3;
  defaults.batching.max_batch_size = 17;
  const auto options = ParseModelPolicy("{}", defaults);
  ASSERT_OK(options);
  EXPECT_EQ(options->executors, 3);
  EXPECT_EQ(options->batching.max_batch_size, 17);
}

TEST(ModelPolicy, EveryKeyOverridesItsField) {
  const auto options = ParseModelPolicy(R"({
      "precision": "bf16", "strategy": "fused", "score_format": "fp32", "versions": [3, 1, 3],
      "pin_threads": true, "score_cache_bytes": 1, "executors": 2, "threads": 3,
      "tokenizer_threads": 4, "max_text_bytes": 5, "max_reply_bytes": 6, "warmup_runs": 7,
      "max_batch_size": 8, "max_batch_tokens": 9, "max_batch_score_bytes": 10,
      "max_queue_delay_us": 11, "max_queue_requests": 12, "max_queue_rows": 13,
      "max_queue_tokens": 14, "max_queue_bytes": 15, "max_queue_score_bytes": 16,
      "max_overtakes": 17, "ordering_horizon_ms": 18, "queue_timeout_ms": 19,
      "prediction": false, "priority_levels": 5, "default_priority": 4,
      "priority_ageing_ms": 20, "max_client_keys": 21})",
                                        {});
  ASSERT_OK(options);
  EXPECT_EQ(options->precision, engine::Precision::kBF16);
  EXPECT_EQ(options->strategy, engine::ReuseStrategy::kFused);
  EXPECT_EQ(options->score_format, engine::ScoreFormat::kF32);
  EXPECT_EQ(options->versions.kind, VersionChoice::Kind::kListed);
  EXPECT_THAT(options->versions.listed, ElementsAre(1, 3));
  EXPECT_TRUE(options->pin_threads);
  EXPECT_EQ(options->score_cache_bytes, 1);
  EXPECT_EQ(options->executors, 2);
  EXPECT_EQ(options->threads, 3);
  EXPECT_EQ(options->tokenizer_threads, 4);
  EXPECT_EQ(options->max_text_bytes, 5);
  EXPECT_EQ(options->max_reply_bytes, 6);
  EXPECT_EQ(options->warmup_runs, 7);
  const batching::BatchingOptions& batching = options->batching;
  EXPECT_EQ(batching.max_batch_size, 8);
  EXPECT_EQ(batching.max_batch_tokens, 9);
  EXPECT_EQ(batching.max_batch_score_bytes, 10);
  EXPECT_EQ(batching.max_queue_delay_us, 11);
  EXPECT_EQ(batching.max_queue_requests, 12);
  EXPECT_EQ(batching.max_queue_rows, 13);
  EXPECT_EQ(batching.max_queue_tokens, 14);
  EXPECT_EQ(batching.max_queue_bytes, 15);
  EXPECT_EQ(batching.max_queue_score_bytes, 16);
  EXPECT_EQ(batching.max_overtakes, 17);
  EXPECT_EQ(batching.ordering_horizon, std::chrono::milliseconds(18));
  EXPECT_EQ(batching.queue_timeout, std::chrono::milliseconds(19));
  EXPECT_FALSE(batching.prediction);
  EXPECT_EQ(batching.priority_levels, 5);
  EXPECT_EQ(batching.default_priority, 4);
  EXPECT_EQ(batching.priority_ageing, std::chrono::milliseconds(20));
  EXPECT_EQ(batching.max_client_keys, 21);
}

TEST(ModelPolicy, UnknownKeyIsNamedWithTheKnownOnes) {
  EXPECT_THAT(ParseModelPolicy(R"({"max_batchsize": 8})", {}),
              StatusIs(kInvalid, AllOf(HasSubstr("unknown key 'max_batchsize'"),
                                       HasSubstr("max_batch_size"), HasSubstr("versions"))));
}

TEST(ModelPolicyTest, DeepNestingIsRefusedAndNotFollowed) {
  const std::string nested =
      R"({"threads": )" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  EXPECT_THAT(ParseModelPolicy(nested, {}), StatusIs(kInvalid, HasSubstr("levels")));
}

TEST(ModelPolicyTest, AKeyThatStandsTwiceIsRefused) {
  EXPECT_THAT(ParseModelPolicy(R"({"threads": 1, "threads": 2})", {}),
              StatusIs(kInvalid, HasSubstr("threads")));
}

TEST(ModelPolicyTest, ALongWrongValueIsQuotedShort) {
  const std::string text = R"({"threads": ")" + std::string(100'000, 'x') + R"("})";
  const absl::Status status = ParseModelPolicy(text, {}).status();
  EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr("expected an integer")));
  EXPECT_LT(status.message().size(), 200u);
}

class BadPolicyTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BadPolicyTest, IsInvalidArgumentThatSaysWhatWasExpected) {
  const auto& [json, message] = GetParam();
  EXPECT_THAT(ParseModelPolicy(json, {}), StatusIs(kInvalid, HasSubstr(message)));
}

INSTANTIATE_TEST_SUITE_P(
    ModelPolicy, BadPolicyTest,
    ::testing::Values(
        std::pair("", "not JSON"), std::pair("{", "not JSON"), std::pair("[]", "not a JSON object"),
        std::pair(R"({"executors": "2"})", "key 'executors' is \"2\"; expected an integer"),
        std::pair(R"({"executors": 2.5})", "expected an integer"),
        std::pair(R"({"executors": 0})", "executors is 0; expected 1 to 256"),
        std::pair(R"({"executors": 4294967297})", "expected a smaller integer"),
        std::pair(R"({"executors": -4294967297})", "expected a larger integer"),
        std::pair(R"({"max_queue_bytes": 18446744073709551615})", "expected a smaller integer"),
        std::pair(R"({"max_batch_size": -1})", "max_batch_size is -1; expected 1 to 65536"),
        std::pair(R"({"pin_threads": 1})", "expected true or false"),
        std::pair(R"({"precision": "int8"})", "precision is 'int8'; expected auto, fp32, bf16"),
        std::pair(R"({"precision": 16})", "expected a string"),
        std::pair(R"({"strategy": "fastest"})", "expected auto, stored, recompute, fused"),
        std::pair(R"({"versions": []})", "\"all\" or a list"),
        std::pair(R"({"versions": [0]})", "\"all\" or a list"),
        std::pair(R"({"versions": {"latest": 0}})", "\"all\" or a list"),
        std::pair(R"({"versions": {"latest": 1.5}})", "'versions.latest' is 1.5"),
        std::pair(R"({"versions": {"latest": 1, "all": 1}})", "\"all\" or a list"),
        std::pair(R"({"versions": "newest"})", "\"all\" or a list"),
        std::pair(R"({"max_reply_bytes": 2147483648})", "max_reply_bytes is 2147483648"),
        std::pair(R"({"warmup_runs": null})", "expected an integer")));

}  // namespace
}  // namespace reprise::server::repository
