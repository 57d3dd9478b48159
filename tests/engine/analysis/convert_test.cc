#include "engine/analysis/convert.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/analysis/save_checkpoint.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/tensor_names.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/json_file.h"
#include "engine/weights/planned_source.h"
#include "engine/weights/random_source.h"
#include "engine/weights/safetensors_writer.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::analysis {
namespace {

namespace fs = std::filesystem;
using architectures::BertConfig;
using architectures::BertParameters;
using ::nlohmann::json;
using ::reprise::testing::ReadBytes;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using reuse::ReusePlan;
using ::testing::AllOf;
using ::testing::HasSubstr;
using weights::Checkpoint;

BertConfig Small() {
  return *architectures::ParseBertConfig({{"num_hidden_layers", 3},
                                          {"num_attention_heads", 4},
                                          {"hidden_size", 8},
                                          {"intermediate_size", 12},
                                          {"vocab_size", 20},
                                          {"max_position_embeddings", 16}});
}

weights::RandomSource RandomWeights(const BertConfig& config) {
  return {BertParameters(config, {.pooler = true}), 11};
}

// An ordinary checkpoint in `directory`/in.
std::string WriteOrdinary(const TemporaryDirectory& directory) {
  const std::string input = directory / "in";
  EXPECT_OK(SaveCheckpoint(Small(), RandomWeights(Small()), input));
  return input;
}

ConversionOptions Options(const TemporaryDirectory& directory, ReusePlan plan) {
  ConversionOptions options;
  options.input_directory = directory / "in";
  options.output_directory = directory / "out";
  options.plan = std::move(plan);
  return options;
}

// What `source` holds of the tensors of `config`, one after the other.
std::vector<float> AllValues(const weights::WeightSource& source, const BertConfig& config) {
  std::vector<float> all;
  for (const weights::TensorSpec& tensor : BertParameters(config, {.pooler = true})) {
    const auto values = source.Read(tensor.name, tensor.shape);
    EXPECT_OK(values);
    if (values.ok()) all.insert(all.end(), values->begin(), values->end());
  }
  return all;
}

TEST(ConvertTest, TheResultIsTheOriginalSeenThroughThePlan) {
  for (const ReusePlan& plan :
       {*ReusePlan::Proposed(3, 4, 2, 2), *ReusePlan::Proposed(3, 4, 4, 1),
        *ReusePlan::Alternate(3, 4, 1), *ReusePlan::AllEnd(3, 4, 1), *ReusePlan::Skip(3, 4, 1),
        *ReusePlan::FromTable({{{0, 0}, {0, 1}, {0, 2}, {0, 3}},
                               {{0, 2}, {1, 1}, {0, 0}, {1, 3}},
                               {{2, 0}, {1, 3}, {2, 2}, {0, 1}}},
                              {true, true, true})}) {
    const TemporaryDirectory directory;
    WriteOrdinary(directory);
    ASSERT_OK(ConvertStructurally(Options(directory, plan))) << plan.name();
    const auto config = architectures::ReadBertConfig(directory / "out");
    ASSERT_OK(config);
    EXPECT_EQ(config->plan, plan);
    const auto checkpoint = Checkpoint::Open(directory / "out");
    ASSERT_OK(checkpoint);
    EXPECT_OK(CheckParameters(*config, {.pooler = true}, **checkpoint)) << plan.name();
    const weights::RandomSource original = RandomWeights(Small());
    const weights::PlannedSource planned(original, PlannedRowBlocks(*config));
    EXPECT_EQ(AllValues(**checkpoint, *config), AllValues(planned, *config)) << plan.name();
  }
}

// The tensors that were written are those of the input seen through the plan, each after `change`.
void ExpectWritten(
    const TemporaryDirectory& directory,
    const std::function<void(const std::string& name, std::vector<float>* values)>& change) {
  const auto config = architectures::ReadBertConfig(directory / "out");
  ASSERT_OK(config);
  const auto checkpoint = Checkpoint::Open(directory / "out");
  ASSERT_OK(checkpoint);
  const weights::RandomSource original = RandomWeights(Small());
  const weights::PlannedSource planned(original, PlannedRowBlocks(*config));
  for (const weights::TensorSpec& tensor : BertParameters(*config, {.pooler = true})) {
    std::vector<float> expected = *planned.Read(tensor.name, tensor.shape);
    change(tensor.name, &expected);
    EXPECT_EQ(*(*checkpoint)->Read(tensor.name, tensor.shape), expected) << tensor.name;
  }
}

TEST(ConvertTest, ValuesAreScaledByHeadAndNothingElse) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  ConversionOptions options = Options(directory, *ReusePlan::Proposed(3, 4, 2, 2));
  options.value_scales.assign(12, 1);
  options.value_scales[4 + 1] = 0.5;  // layer 1, head 1
  options.value_scales[8 + 3] = -2;   // layer 2, head 3
  ASSERT_OK(ConvertStructurally(options));
  ExpectWritten(directory, [&](const std::string& name, std::vector<float>* values) {
    for (int layer = 0; layer < 3; ++layer) {
      if (name != architectures::tensor_names::Weight(architectures::tensor_names::Value(layer))) {
        continue;
      }
      // Two rows of eight numbers for each head.
      for (std::size_t i = 0; i < values->size(); ++i) {
        (*values)[i] *= static_cast<float>(options.value_scales[4 * layer + i / 16]);
      }
    }
  });
}

TEST(ConvertTest, ReplacedTensorsAreWrittenAndNothingElseChanges) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  const std::string name =
      architectures::tensor_names::Bias(architectures::tensor_names::AttentionOutput(1));
  const std::vector<float> values(Small().hidden_size, 0.25f);
  ConversionOptions options = Options(directory, *ReusePlan::Proposed(3, 4, 2, 2));
  options.replaced[name] = values;
  ASSERT_OK(ConvertStructurally(options));
  ExpectWritten(directory, [&](const std::string& tensor, std::vector<float>* written) {
    if (tensor == name) *written = values;
  });
}

TEST(ConvertTest, WhatIsRefusedBeforeItHasItsNameLeavesNothing) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  ConversionOptions options = Options(directory, *ReusePlan::Proposed(3, 4, 2, 2));
  options.before_commit = [](const std::string& staged) {
    EXPECT_OK(Checkpoint::Open(staged));
    return absl::FailedPreconditionError("not good enough");
  };
  EXPECT_THAT(ConvertStructurally(options),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not good enough")));
  EXPECT_FALSE(fs::exists(directory / "out"));
}

TEST(ConvertTest, ReportsWhatWasSaved) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  const auto report = ConvertStructurally(Options(directory, *ReusePlan::Proposed(3, 4, 2, 2)));
  ASSERT_OK(report);
  EXPECT_EQ(report->heads, 12);
  EXPECT_EQ(report->reused_heads, 4);
  EXPECT_EQ(report->layers_without_attention, 0);
  // Half of two query and two key projections, 8 x 8 and 8 each.
  EXPECT_EQ(report->parameters_before - report->parameters_after, 4 * (8 * 8 + 8) / 2);
  EXPECT_EQ(report->weight_bytes_before, static_cast<std::uint64_t>(report->parameters_before) * 4);
  EXPECT_EQ(report->weight_bytes_after, static_cast<std::uint64_t>(report->parameters_after) * 4);
}

TEST(ConvertTest, UnknownKeysOfTheConfigStay) {
  const TemporaryDirectory directory;
  const std::string input = WriteOrdinary(directory);
  json config = *weights::ReadJsonFile(input + "/config.json");
  config["initializer_range"] = 0.02;
  config["task_specific_params"] = {{"a", {1, 2}}};
  ASSERT_OK(weights::WriteJsonFile(input + "/config.json", config));
  ASSERT_OK(ConvertStructurally(Options(directory, *ReusePlan::Proposed(3, 4, 2, 2))));
  config["attention_reuse"] = {{"heads", 2}, {"layers", 2}};
  EXPECT_EQ(*weights::ReadJsonFile(directory / "out/config.json"), config);
}

// A checkpoint as an old BertForMaskedLM left it: prefix, old LayerNorm names, F16, a head and an
// integer buffer of no interest.
TEST(ConvertTest, StoredNamesTypesAndOtherTensorsStay) {
  const TemporaryDirectory directory;
  const std::string input = WriteOrdinary(directory);
  const weights::RandomSource source = RandomWeights(Small());
  const auto stored_name = [](std::string name) {
    for (const auto& [now, then] :
         {std::pair<std::string, std::string>{"Norm.weight", "Norm.gamma"},
          {"Norm.bias", "Norm.beta"}}) {
      if (name.ends_with(now)) name.replace(name.size() - now.size(), now.size(), then);
    }
    return "bert." + name;
  };
  const auto tensors = BertParameters(Small(), {.pooler = true});
  std::vector<weights::TensorDeclaration> declarations = {
      {"bert.embeddings.position_ids", "I64", {1, 2}, 16},
      {"cls.predictions.bias", "F4_NEW", {6}, 3}};
  for (const auto& tensor : tensors) {
    declarations.push_back(weights::Declare({stored_name(tensor.name), tensor.shape}, DType::kF16));
  }
  auto writer = weights::SafetensorsWriter::Create(input + "/model.safetensors", declarations);
  ASSERT_OK(writer);
  const std::vector<std::byte> ids(16, std::byte{7});
  const std::vector<std::byte> odd(3, std::byte{9});
  ASSERT_OK((*writer)->WriteBytes("bert.embeddings.position_ids", ids));
  ASSERT_OK((*writer)->WriteBytes("cls.predictions.bias", odd));
  for (const auto& tensor : tensors) {
    ASSERT_OK((*writer)->Write(stored_name(tensor.name), *source.Read(tensor.name, tensor.shape)));
  }
  ASSERT_OK((*writer)->Finish());

  ASSERT_OK(ConvertStructurally(Options(directory, *ReusePlan::Proposed(3, 4, 3, 1))));
  const auto result = weights::SafetensorsFile::Open(directory / "out/model.safetensors");
  ASSERT_OK(result);
  const auto& stored = result->tensors();
  ASSERT_TRUE(stored.contains("bert.embeddings.position_ids"));
  EXPECT_TRUE(std::ranges::equal(result->bytes(stored.at("bert.embeddings.position_ids")), ids));
  EXPECT_EQ(stored.at("cls.predictions.bias").dtype, "F4_NEW");
  EXPECT_TRUE(std::ranges::equal(result->bytes(stored.at("cls.predictions.bias")), odd));
  EXPECT_TRUE(stored.contains("bert.embeddings.LayerNorm.gamma"));
  const auto& query = stored.at("bert.encoder.layer.1.attention.self.query.weight");
  EXPECT_EQ(query.dtype, "F16");
  EXPECT_THAT(query.shape, ::testing::ElementsAre(2, 8));
}

TEST(ConvertTest, CopiesWhatSurroundsTheWeightsAndNothingElse) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  directory.Write("in/tokenizer.json", "tokens");
  directory.Write("in/modules.json",
                  R"([{"path": "", "type": "a.Transformer"}, {"path": "pool", "type": "a.Pooling"},
                      {"path": "2_Normalize", "type": "a.Normalize"}])");
  directory.Write("in/pool/config.json", R"({"pooling_mode_cls_token": true})");
  directory.Write("in/sentence_bert_config.json", R"({"max_seq_length": 9})");
  directory.Write("in/README.md", "card of the original");
  directory.Write("in/pytorch_model.bin", "pickle");
  ASSERT_OK(ConvertStructurally(Options(directory, *ReusePlan::Proposed(3, 4, 2, 2))));
  EXPECT_EQ(ReadBytes(directory / "out/tokenizer.json"), "tokens");
  EXPECT_FALSE(fs::exists(directory / "out/README.md"));
  EXPECT_FALSE(fs::exists(directory / "out/pytorch_model.bin"));
  const auto config = architectures::ReadBertConfig(directory / "out");
  ASSERT_OK(config);
  EXPECT_EQ(config->pooling, architectures::Pooling::kCls);
  EXPECT_TRUE(config->normalize);
  EXPECT_EQ(config->max_text_tokens, 9);
}

TEST(ConvertTest, TellsItsProgress) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  ConversionOptions options = Options(directory, *ReusePlan::Proposed(3, 4, 4, 1));
  std::vector<int> done;
  int last_total = 0;
  options.progress = [&](int now, int total) {
    done.push_back(now);
    last_total = total;
  };
  ASSERT_OK(ConvertStructurally(options));
  ASSERT_FALSE(done.empty());
  EXPECT_TRUE(std::ranges::is_sorted(done));
  EXPECT_EQ(done.back(), last_total);
}

TEST(ConvertTest, RefusesAReuseModel) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  ASSERT_OK(ConvertStructurally(Options(directory, *ReusePlan::Proposed(3, 4, 2, 2))));
  ConversionOptions again = Options(directory, *ReusePlan::Proposed(3, 4, 4, 1));
  again.input_directory = directory / "out";
  again.output_directory = directory / "again";
  EXPECT_THAT(ConvertStructurally(again), StatusIs(absl::StatusCode::kInvalidArgument,
                                                   HasSubstr("a reuse model already (2x2)")));
}

TEST(ConvertTest, RefusesAPlanOfAnotherShape) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  EXPECT_THAT(ConvertStructurally(Options(directory, *ReusePlan::Proposed(4, 4, 2, 2))),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("4 layers of 4 heads"), HasSubstr("3 layers of 4 heads"))));
}

TEST(ConvertTest, RefusesAnInputThatCannotBeRead) {
  const TemporaryDirectory directory;
  const ReusePlan plan = *ReusePlan::Proposed(3, 4, 2, 2);
  EXPECT_THAT(ConvertStructurally(Options(directory, plan)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  WriteOrdinary(directory);
  fs::resize_file(directory / "in/model.safetensors", 1000);
  EXPECT_THAT(ConvertStructurally(Options(directory, plan)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model.safetensors")));
  fs::remove(directory / "in/model.safetensors");
  EXPECT_THAT(ConvertStructurally(Options(directory, plan)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("model.safetensors")));
  EXPECT_FALSE(fs::exists(directory / "out"));
}

TEST(ConvertTest, NeverOverwritesAndLeavesNothingBehind) {
  const TemporaryDirectory directory;
  WriteOrdinary(directory);
  directory.Write("out/file", "old");
  EXPECT_THAT(ConvertStructurally(Options(directory, *ReusePlan::Proposed(3, 4, 2, 2))),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("out")));
  EXPECT_EQ(ReadBytes(directory / "out/file"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), {}), 2);
}

}  // namespace
}  // namespace reprise::engine::analysis
