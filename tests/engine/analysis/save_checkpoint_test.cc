#include "engine/analysis/save_checkpoint.h"

#include <filesystem>
#include <string>
#include <vector>

#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/json_file.h"
#include "engine/weights/random_source.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::analysis {
namespace {

using architectures::BertConfig;
using architectures::BertParameters;
using architectures::BertParts;
using ::nlohmann::json;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::HasSubstr;

BertConfig Small(const json& attention_reuse = nullptr) {
  return *architectures::ParseBertConfig({{"num_hidden_layers", 2},
                                          {"num_attention_heads", 4},
                                          {"hidden_size", 8},
                                          {"intermediate_size", 12},
                                          {"vocab_size", 20},
                                          {"max_position_embeddings", 16},
                                          {"attention_reuse", attention_reuse}});
}

TEST(SaveCheckpointTest, WhatIsReadBackIsWhatWasSaved) {
  for (const json& reuse : {json(nullptr), json{{"heads", 3}, {"layers", 1}}}) {
    const BertConfig config = Small(reuse);
    const BertParts parts = {.pooler = true};
    const weights::RandomSource source(BertParameters(config, parts), 5);
    const TemporaryDirectory directory;
    ASSERT_OK(SaveCheckpoint(config, source, directory / "out"));
    const auto read = architectures::ReadBertConfig(directory / "out");
    ASSERT_OK(read);
    EXPECT_EQ(read->plan, config.plan);
    const auto checkpoint = weights::Checkpoint::Open(directory / "out");
    ASSERT_OK(checkpoint);
    EXPECT_EQ((*checkpoint)->entries().size(), BertParameters(config, parts).size());
    for (const weights::TensorSpec& tensor : BertParameters(config, parts)) {
      const auto values = (*checkpoint)->Read(tensor.name, tensor.shape);
      ASSERT_OK(values);
      EXPECT_EQ(*values, *source.Read(tensor.name, tensor.shape)) << tensor.name;
    }
  }
}

TEST(SaveCheckpointTest, AnEncodersTensorsHaveNoPrefix) {
  const BertConfig config = Small();
  const TemporaryDirectory directory;
  ASSERT_OK(SaveCheckpoint(config, weights::RandomSource(BertParameters(config, {}), 5),
                           directory / "out"));
  const auto checkpoint = weights::Checkpoint::Open(directory / "out");
  ASSERT_OK(checkpoint);
  for (const auto& [name, entry] : (*checkpoint)->entries()) EXPECT_EQ(entry.stored_name, name);
  EXPECT_EQ((*weights::ReadJsonFile(directory / "out/config.json"))["architectures"],
            json::array({"BertModel"}));
}

TEST(SaveCheckpointTest, AClassifierIsSavedAsHuggingFaceNamesIt) {
  const BertConfig config = Small();
  const BertParts parts = {.pooler = true, .num_labels = 3};
  const TemporaryDirectory directory;
  ASSERT_OK(SaveCheckpoint(config, weights::RandomSource(BertParameters(config, parts), 5),
                           directory / "out"));
  const auto checkpoint = weights::Checkpoint::Open(directory / "out");
  ASSERT_OK(checkpoint);
  EXPECT_EQ((*checkpoint)->entries().at("classifier.weight").stored_name, "classifier.weight");
  EXPECT_EQ((*checkpoint)->entries().at("pooler.dense.weight").stored_name,
            "bert.pooler.dense.weight");
  const auto read = architectures::ReadBertConfig(directory / "out");
  ASSERT_OK(read);
  EXPECT_EQ(read->labels.size(), 3u);
  const auto found = FindParts(*read, **checkpoint);
  ASSERT_OK(found);
  EXPECT_EQ(found->num_labels, 3);
}

TEST(SaveCheckpointTest, PoolingIsSavedAsSentenceTransformersNamesIt) {
  BertConfig config = Small();
  config.pooling = architectures::Pooling::kMean;
  config.normalize = true;
  config.max_text_tokens = 9;
  const TemporaryDirectory directory;
  ASSERT_OK(SaveCheckpoint(config, weights::RandomSource(BertParameters(config, {}), 5),
                           directory / "out"));
  const auto read = architectures::ReadBertConfig(directory / "out");
  ASSERT_OK(read);
  EXPECT_EQ(read->pooling, architectures::Pooling::kMean);
  EXPECT_TRUE(read->normalize);
  EXPECT_EQ(read->max_text_tokens, 9);
}

TEST(SaveCheckpointTest, RefusesWeightsOfAnotherShape) {
  const TemporaryDirectory directory;
  const weights::RandomSource exact(BertParameters(Small(), {}), 5);
  EXPECT_THAT(SaveCheckpoint(Small({{"heads", 3}, {"layers", 1}}), exact, directory / "out"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("attention_reuse")));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SaveCheckpointTest, NeverOverwrites) {
  const TemporaryDirectory directory;
  directory.Write("out/file", "old");
  EXPECT_THAT(SaveCheckpoint(Small(), weights::RandomSource(BertParameters(Small(), {}), 5),
                             directory / "out"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("out")));
}

}  // namespace
}  // namespace reprise::engine::analysis
