#include "engine/architectures/bert_config.h"

#include <string>

#include "engine/architectures/bert_limits.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::architectures {
namespace {

using ::nlohmann::json;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

json MiniLm() {
  return json::parse(R"({"architectures": ["BertModel"], "attention_probs_dropout_prob": 0.1,
      "hidden_act": "gelu", "hidden_size": 384, "initializer_range": 0.02,
      "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
      "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
      "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522})");
}

// The MiniLM config with `key` set to what `value` says in JSON.
json With(const std::string& key, const std::string& value) {
  json config = MiniLm();
  config[key] = json::parse(value);
  return config;
}

void ExpectRefused(const json& config, const std::string& key, const std::string& expected) {
  EXPECT_THAT(ParseBertConfig(config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("config.json"), HasSubstr(key), HasSubstr(expected))))
      << config;
}

TEST(BertConfigTest, ReadsAPublishedConfig) {
  const auto config = ParseBertConfig(MiniLm());
  ASSERT_OK(config);
  EXPECT_EQ(config->num_layers, 6);
  EXPECT_EQ(config->num_heads, 12);
  EXPECT_EQ(config->hidden_size, 384);
  EXPECT_EQ(config->head_dim(), 32);
  EXPECT_EQ(config->intermediate_size, 1536);
  EXPECT_EQ(config->vocab_size, 30522);
  EXPECT_EQ(config->max_position_embeddings, 512);
  EXPECT_EQ(config->max_text_tokens, 512);
  EXPECT_EQ(config->type_vocab_size, 2);
  EXPECT_EQ(config->layer_norm_eps, 1e-12f);
  EXPECT_EQ(config->activation, Activation::kGeluErf);
  EXPECT_EQ(config->pooling, Pooling::kNone);
  EXPECT_FALSE(config->norm_first);
  EXPECT_FALSE(config->final_layer_norm);
  EXPECT_EQ(config->relative_position_max, 0);
  EXPECT_THAT(config->labels, IsEmpty());
  EXPECT_EQ(config->plan.name(), "exact");
  EXPECT_EQ(config->plan.num_layers(), 6);
}

TEST(BertConfigTest, OptionalKeysHaveBertsDefaults) {
  json config = MiniLm();
  for (const char* key : {"model_type", "hidden_act", "layer_norm_eps", "type_vocab_size",
                          "position_embedding_type", "architectures"}) {
    config.erase(key);
  }
  const auto with_defaults = ParseBertConfig(config);
  ASSERT_OK(with_defaults);
  EXPECT_EQ(ToJson(*with_defaults), ToJson(*ParseBertConfig(MiniLm())));
}

TEST(BertConfigTest, KnowsTheActivations) {
  EXPECT_EQ(ParseBertConfig(With("hidden_act", "\"gelu\""))->activation, Activation::kGeluErf);
  EXPECT_EQ(ParseBertConfig(With("hidden_act", "\"gelu_new\""))->activation, Activation::kGeluTanh);
  EXPECT_EQ(ParseBertConfig(With("hidden_act", "\"gelu_pytorch_tanh\""))->activation,
            Activation::kGeluTanh);
  EXPECT_EQ(ParseBertConfig(With("hidden_act", "\"relu\""))->activation, Activation::kRelu);
  ExpectRefused(With("hidden_act", "\"silu\""), "hidden_act = \"silu\"", "gelu_new");
}

TEST(BertConfigTest, ReadsOurOwnKeys) {
  json config = MiniLm();
  config["norm_first"] = true;
  config["final_layer_norm"] = true;
  config["relative_position"] = {{"type", "clipped"}, {"max_seq_length", 512}};
  config["attention_reuse"] = {{"heads", 6}, {"layers", 4}};
  const auto parsed = ParseBertConfig(config);
  ASSERT_OK(parsed);
  EXPECT_TRUE(parsed->norm_first);
  EXPECT_TRUE(parsed->final_layer_norm);
  EXPECT_EQ(parsed->relative_position_max, 512);
  EXPECT_EQ(parsed->plan.name(), "6x4");
}

TEST(BertConfigTest, ReadsLabelsInTheOrderOfTheirNumbers) {
  std::string labels = "{";
  for (int i = 11; i >= 0; --i)
    labels +=
        "\"" + std::to_string(i) + "\": \"l" + std::to_string(i) + "\"" + (i == 0 ? "}" : ",");
  const auto config = ParseBertConfig(With("id2label", labels));
  ASSERT_OK(config);
  ASSERT_EQ(config->labels.size(), 12u);
  EXPECT_EQ(config->labels[2], "l2");
  EXPECT_EQ(config->labels[10], "l10");
}

TEST(BertConfigTest, RefusesLabelsWithGaps) {
  for (const char* labels : {R"({"1": "a"})", R"({"0": "a", "2": "b"})", R"({"0": 1})",
                             R"({"zero": "a"})", R"({"00": "a"})", R"(["a"])"}) {
    ExpectRefused(With("id2label", labels), "id2label", "expected");
  }
}

TEST(BertConfigTest, NamesAMissingKey) {
  for (const char* key : {"num_hidden_layers", "num_attention_heads", "hidden_size",
                          "intermediate_size", "vocab_size", "max_position_embeddings"}) {
    json config = MiniLm();
    config.erase(key);
    ExpectRefused(config, key, "expected an integer");
    ExpectRefused(With(key, "null"), key, "expected an integer");
  }
}

TEST(BertConfigTest, RefusesSizesThatAreNoPositiveIntegers) {
  for (const char* key :
       {"num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
        "vocab_size", "max_position_embeddings", "type_vocab_size"}) {
    for (const char* value : {"0", "-1", "6.0", "\"6\"", "true", "[6]", "{}", "2147483648",
                              "4294967297", "18446744073709551615", "-9223372036854775808"}) {
      ExpectRefused(With(key, value), key, "expected an integer from 1");
    }
  }
}

TEST(BertConfigTest, RefusesModelsOfAbsurdSize) {
  ExpectRefused(With("vocab_size", std::to_string(kMaxVocabSize + 1)), "vocab_size", "expected");
  json config = MiniLm();
  config["num_hidden_layers"] = kMaxLayers;
  config["hidden_size"] = kMaxHiddenSize - kMaxHiddenSize % 12;
  config["intermediate_size"] = kMaxIntermediateSize;
  config["vocab_size"] = kMaxVocabSize;
  ExpectRefused(config, "parameters", "expected at most");
}

TEST(BertConfigTest, HeadsMustDivideTheHiddenSize) {
  ExpectRefused(With("num_attention_heads", "7"), "hidden_size = 384", "num_attention_heads = 7");
}

TEST(BertConfigTest, RefusesNumbersThatMakeLayerNormMeaningless) {
  for (const char* eps : {"0", "-1e-12", "2", "1e-50", "\"1e-12\"", "true"}) {
    ExpectRefused(With("layer_norm_eps", eps), "layer_norm_eps", "expected a number");
  }
}

TEST(BertConfigTest, RefusesOtherArchitectures) {
  ExpectRefused(With("model_type", "\"roberta\""), "model_type = \"roberta\"", "\"bert\"");
  ExpectRefused(With("model_type", "5"), "model_type = 5", "a string");
  ExpectRefused(With("position_embedding_type", "\"relative_key\""),
                "position_embedding_type = \"relative_key\"", "\"absolute\"");
  ExpectRefused(With("is_decoder", "true"), "is_decoder = true", "only encoders");
  ExpectRefused(With("add_cross_attention", "true"), "add_cross_attention", "only encoders");
}

TEST(BertConfigTest, RefusesFlagsThatAreNotBooleans) {
  ExpectRefused(With("norm_first", "1"), "norm_first = 1", "true or false");
  ExpectRefused(With("final_layer_norm", "\"yes\""), "final_layer_norm", "true or false");
}

TEST(BertConfigTest, RefusesOtherRelativePositions) {
  ExpectRefused(With("relative_position", "512"), "relative_position", "an object");
  ExpectRefused(With("relative_position", R"({"type": "t5", "max_seq_length": 8})"),
                "relative_position", "\"clipped\"");
  ExpectRefused(With("relative_position", R"({"type": "clipped"})"), "max_seq_length",
                "expected an integer");
  ExpectRefused(With("relative_position", R"({"type": "clipped", "max_seq_length": 0})"),
                "max_seq_length = 0", "expected an integer");
}

TEST(BertConfigTest, RefusesAPlanThatDoesNotFitTheModel) {
  EXPECT_THAT(ParseBertConfig(With("attention_reuse", R"({"heads": 13, "layers": 4})")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("attention_reuse"), HasSubstr("13"))));
  EXPECT_THAT(ParseBertConfig(With("attention_reuse", R"({"heads": 12, "layers": 6})")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("attention_reuse")));
}

TEST(BertConfigTest, RefusesWhatIsNotAnObject) {
  for (const char* text : {"[]", "null", "1", "\"bert\""}) {
    ExpectRefused(json::parse(text), text, "expected an object");
  }
}

TEST(BertConfigTest, WhatIsWrittenReadsBackEqual) {
  json original = MiniLm();
  original["hidden_act"] = "gelu_pytorch_tanh";
  original["layer_norm_eps"] = 1e-5;
  original["norm_first"] = true;
  original["final_layer_norm"] = true;
  original["relative_position"] = {{"type", "clipped"}, {"max_seq_length", 9}};
  original["attention_reuse"] = {{"variant", "skip"}, {"layers", 2}};
  original["id2label"] = {{"0", "bad"}, {"1", "good"}};
  const auto config = ParseBertConfig(original);
  ASSERT_OK(config);
  const auto again = ParseBertConfig(ToJson(*config));
  ASSERT_OK(again);
  EXPECT_EQ(again->num_layers, config->num_layers);
  EXPECT_EQ(again->num_heads, config->num_heads);
  EXPECT_EQ(again->hidden_size, config->hidden_size);
  EXPECT_EQ(again->intermediate_size, config->intermediate_size);
  EXPECT_EQ(again->vocab_size, config->vocab_size);
  EXPECT_EQ(again->max_position_embeddings, config->max_position_embeddings);
  EXPECT_EQ(again->type_vocab_size, config->type_vocab_size);
  EXPECT_EQ(again->layer_norm_eps, config->layer_norm_eps);
  EXPECT_EQ(again->activation, config->activation);
  EXPECT_EQ(again->norm_first, config->norm_first);
  EXPECT_EQ(again->final_layer_norm, config->final_layer_norm);
  EXPECT_EQ(again->relative_position_max, config->relative_position_max);
  EXPECT_THAT(again->labels, ElementsAre("bad", "good"));
  EXPECT_EQ(again->max_text_tokens, config->max_text_tokens);
  EXPECT_EQ(again->plan, config->plan);
}

TEST(BertConfigTest, AnExactModelsConfigHasNoKeysOfOurs) {
  const json written = ToJson(*ParseBertConfig(MiniLm()));
  for (const char* key :
       {"attention_reuse", "norm_first", "final_layer_norm", "relative_position"}) {
    EXPECT_FALSE(written.contains(key)) << key;
  }
  EXPECT_EQ(written["layer_norm_eps"].dump(), "1e-12");
}

TEST(BertConfigTest, ReadNamesTheFile) {
  const TemporaryDirectory directory;
  EXPECT_THAT(ReadBertConfig(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(directory / "config.json")));
  directory.Write("config.json", With("vocab_size", "-1").dump());
  EXPECT_THAT(ReadBertConfig(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(directory / "config.json"), HasSubstr("vocab_size = -1"))));
}

}  // namespace
}  // namespace reprise::engine::architectures
