// What WriteCheckpoint writes is what ReadCheckpoint reads.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/reference/checkpoint_reader.h"
#include "tests/reference/checkpoint_writer.h"
#include "tests/reference/random_model.h"
#include "tests/temporary_directory.h"

namespace reprise::reference {
namespace {

TEST(CheckpointTest, AWrittenModelIsReadBackWithTheSameNumbers) {
  const testing::TemporaryDirectory scratch;
  for (int seed = 1; seed <= 24; ++seed) {
    Random random(seed);
    CheckpointOptions options;
    options.format =
        random.OneOf<NumberFormat>({NumberFormat::kF32, NumberFormat::kF16, NumberFormat::kBF16});
    options.bert_prefix = random.Coin();
    options.position_ids_buffer = random.Coin();
    const BertModel model = RandomModel(RandomConfig(random), options.format, random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(model.config));
    const std::string directory = scratch / std::to_string(seed);
    WriteCheckpoint(directory, model, options);
    const BertModel read = ReadCheckpoint(directory);
    EXPECT_EQ(Describe(read.config), Describe(model.config));
    const Sequence sequence = RandomSequence(model.config, 8, random);
    const BertOutputs expected = Forward(model, sequence);
    const BertOutputs outputs = Forward(read, sequence);
    EXPECT_EQ(Flat(outputs.last_hidden_state), Flat(expected.last_hidden_state));
    EXPECT_EQ(outputs.sentence_embedding, expected.sentence_embedding);
    EXPECT_EQ(outputs.logits, expected.logits);
  }
}

TEST(CheckpointTest, AReuseLayerHasQueryAndKeyRowsOfItsComputedHeadsOnly) {
  Random random(3);
  BertConfig config;
  config.num_layers = 3;
  config.num_heads = 4;
  config.hidden_size = 8;
  config.reuse.kind = ReuseRecipe::Kind::kTable;
  config.reuse.table = ExactMap(3, 4);
  config.reuse.table.source[1] = {{0, 0}, {1, 1}, {0, 0}, {1, 3}};
  config.reuse.table.source[2] = {{1, 0}, {1, 1}, {1, 2}, {1, 3}};
  const BertModel model = RandomModel(config, NumberFormat::kF32, random);
  std::vector<std::string> queries;
  VisitTensors(model, [&](const std::string& name, const std::vector<int>& shape,
                          const std::vector<double>&) {
    if (name.ends_with("query.weight")) queries.push_back(name + " " + std::to_string(shape[0]));
  });
  EXPECT_THAT(queries, ::testing::ElementsAre("encoder.layer.0.attention.self.query.weight 8",
                                              "encoder.layer.1.attention.self.query.weight 4"));
}

TEST(CheckpointTest, ShardsTogetherHoldEachTensorOnce) {
  const testing::TemporaryDirectory scratch;
  Random random(5);
  const BertModel model = RandomModel(RandomConfig(random), NumberFormat::kF32, random);
  CheckpointOptions options;
  options.num_shards = 3;
  WriteCheckpoint(scratch.path(), model, options);
  std::ifstream file(scratch / "model.safetensors.index.json");
  const nlohmann::json index = nlohmann::json::parse(file);
  std::size_t num_tensors = 0;
  VisitTensors(
      model, [&](const std::string& name, const std::vector<int>&, const std::vector<double>&) {
        ++num_tensors;
        EXPECT_TRUE(
            std::filesystem::exists(scratch / index.at("weight_map").at(name).get<std::string>()));
      });
  EXPECT_EQ(index.at("weight_map").size(), num_tensors);
  EXPECT_FALSE(std::filesystem::exists(scratch / "model.safetensors"));
}

}  // namespace
}  // namespace reprise::reference
