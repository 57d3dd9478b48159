#include "engine/architectures/sentence_config.h"

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
using ::testing::HasSubstr;

constexpr char kConfig[] = R"({"model_type": "bert", "num_hidden_layers": 2,
    "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 32,
    "max_position_embeddings": 64})";
constexpr char kMean[] = R"({"word_embedding_dimension": 8, "pooling_mode_cls_token": false,
    "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false})";

BertConfig Config() { return *ParseBertConfig(json::parse(kConfig)); }

// modules.json with these classes at these paths.
json Modules(const std::vector<std::pair<std::string, std::string>>& classes) {
  json modules = json::array();
  for (const auto& [type, path] : classes) {
    modules.push_back({{"idx", modules.size()},
                       {"name", std::to_string(modules.size())},
                       {"path", path},
                       {"type", "sentence_transformers.models." + type}});
  }
  return modules;
}

void ExpectModulesRefused(const json& modules, const std::string& substring) {
  BertConfig config = Config();
  EXPECT_THAT(ParseModules(modules, config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(substring)))
      << modules;
}

void ExpectPoolingRefused(const std::string& pooling, const std::string& substring) {
  BertConfig config = Config();
  EXPECT_THAT(ParsePooling(json::parse(pooling), config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(substring)))
      << pooling;
}

TEST(SentenceConfigTest, ReadsTheFilesOfAPublishedModel) {
  const TemporaryDirectory directory;
  directory.Write("config.json", kConfig);
  directory.Write(
      "modules.json",
      Modules({{"Transformer", ""}, {"Pooling", "1_Pooling"}, {"Normalize", "2_Normalize"}})
          .dump());
  directory.Write("1_Pooling/config.json", kMean);
  directory.Write("sentence_bert_config.json", R"({"max_seq_length": 32, "do_lower_case": false})");
  const auto config = ReadBertConfig(directory.path());
  ASSERT_OK(config);
  EXPECT_EQ(config->pooling, Pooling::kMean);
  EXPECT_TRUE(config->normalize);
  EXPECT_EQ(config->max_text_tokens, 32);
}

TEST(SentenceConfigTest, WithoutTheFilesThereIsNoPooling) {
  const TemporaryDirectory directory;
  directory.Write("config.json", kConfig);
  directory.Write("1_Pooling/config.json", kMean);  // modules.json decides
  const auto config = ReadBertConfig(directory.path());
  ASSERT_OK(config);
  EXPECT_EQ(config->pooling, Pooling::kNone);
  EXPECT_FALSE(config->normalize);
  EXPECT_EQ(config->max_text_tokens, 64);
}

TEST(SentenceConfigTest, NamesTheFileThatIsWrong) {
  const TemporaryDirectory directory;
  directory.Write("config.json", kConfig);
  directory.Write("modules.json", Modules({{"Transformer", ""}, {"Pooling", "pool"}}).dump());
  EXPECT_THAT(ReadBertConfig(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("pool/config.json")));
  directory.Write("pool/config.json", "{}");
  EXPECT_THAT(ReadBertConfig(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pool/config.json")));
  directory.Write("modules.json", "{}");
  EXPECT_THAT(ReadBertConfig(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("modules.json")));
  directory.Write("modules.json", Modules({{"Transformer", ""}}).dump());
  directory.Write("sentence_bert_config.json", "[]");
  EXPECT_THAT(ReadBertConfig(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sentence_bert_config.json")));
}

TEST(SentenceConfigTest, ClsPoolingWithoutNormalize) {
  BertConfig config = Config();
  EXPECT_OK(ParseModules(Modules({{"Transformer", ""}, {"Pooling", "1_Pooling"}}), config));
  EXPECT_OK(ParsePooling(json::parse(R"({"pooling_mode_cls_token": true})"), config));
  EXPECT_EQ(config.pooling, Pooling::kCls);
  EXPECT_FALSE(config.normalize);
}

TEST(SentenceConfigTest, RefusesOtherModulesAndOrders) {
  ExpectModulesRefused(Modules({}), "expected Transformer");
  ExpectModulesRefused(Modules({{"Pooling", "a"}}), "expected Transformer");
  ExpectModulesRefused(Modules({{"Transformer", ""}, {"Normalize", "a"}}), "expected Transformer");
  ExpectModulesRefused(Modules({{"Transformer", ""}, {"Pooling", "a"}, {"Dense", "b"}}), "Dense");
  ExpectModulesRefused(
      Modules({{"Transformer", ""}, {"Pooling", "a"}, {"Normalize", "b"}, {"Normalize", "c"}}),
      "expected Transformer");
  ExpectModulesRefused(json::parse("[1]"), "expected an object");
  ExpectModulesRefused(json::parse(R"([{"type": 1}])"), "type = 1");
}

TEST(SentenceConfigTest, RefusesATransformerInASubfolder) {
  ExpectModulesRefused(Modules({{"Transformer", "0_Transformer"}, {"Pooling", "1_Pooling"}}),
                       "0_Transformer");
}

TEST(SentenceConfigTest, RefusesAPoolingFolderOutsideTheDirectory) {
  for (const char* path : {"", "..", "../1_Pooling", "/etc", "a/b"}) {
    ExpectModulesRefused(Modules({{"Transformer", ""}, {"Pooling", path}}), "name of a folder");
  }
}

TEST(SentenceConfigTest, RefusesOtherPoolingModes) {
  ExpectPoolingRefused(R"({"pooling_mode_max_tokens": true})", "pooling_mode_max_tokens");
  ExpectPoolingRefused(R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})",
                       "expected exactly one");
  ExpectPoolingRefused(R"({"pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": true})",
                       "pooling_mode_lasttoken");
  ExpectPoolingRefused(R"({"pooling_mode_mean_tokens": false})", "expected exactly one");
  ExpectPoolingRefused(R"({"pooling_mode_mean_tokens": "yes"})", "true or false");
  ExpectPoolingRefused("[]", "expected an object");
}

TEST(SentenceConfigTest, RefusesAnotherWidth) {
  ExpectPoolingRefused(R"({"pooling_mode_mean_tokens": true, "word_embedding_dimension": 9})",
                       "word_embedding_dimension = 9; expected 8");
}

TEST(SentenceConfigTest, TheTextLimitCannotExceedThePositions) {
  BertConfig config = Config();
  EXPECT_OK(ParseTextLimit(json::parse(R"({"max_seq_length": 64})"), config));
  EXPECT_OK(ParseTextLimit(json::parse(R"({"max_seq_length": null})"), config));
  for (const char* limit :
       {R"({"max_seq_length": 65})", R"({"max_seq_length": 0})", R"({"max_seq_length": "64"})"}) {
    EXPECT_THAT(ParseTextLimit(json::parse(limit), config),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("max_seq_length"), HasSubstr("from 1 to 64"))));
  }
}

}  // namespace
}  // namespace reprise::engine::architectures
