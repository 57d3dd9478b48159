#include "server/repository/servable_loader.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/analysis/save_checkpoint.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/weights/random_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/repository/serving_core_impl.h"
#include "tests/engine/cpu_precisions.h"
#include "tests/server/fakes/answer.h"
#include "tests/server/fakes/fake_observer.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::server::repository {
namespace {

namespace fs = std::filesystem;
using ::reprise::engine::architectures::BertConfig;
using ::reprise::server::testing::FakeObserver;
using ::reprise::server::testing::Int64Tensor;
using ::reprise::server::testing::PendingAnswer;
using ::reprise::server::testing::TextTensor;
using ::reprise::testing::StatusIs;
using ::reprise::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTinyTokenizer[] = REPRISE_TEST_DATA_DIR "/tokenizer/tiny_wordpiece.json";

BertConfig SmallConfig(int reused_heads) {
  BertConfig config;
  config.num_layers = 4;
  config.num_heads = 4;
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.vocab_size = 500;
  config.max_position_embeddings = 64;
  config.type_vocab_size = 2;
  config.max_text_tokens = 64;
  config.pooling = engine::architectures::Pooling::kMean;
  config.normalize = true;
  config.plan = *engine::reuse::ReusePlan::Proposed(4, 4, reused_heads, 2);
  return config;
}

// A model directory <scratch>/1 with random weights and, unless told otherwise, a tokenizer.
class Checkpoint {
 public:
  explicit Checkpoint(const BertConfig& config, bool tokenizer = true) {
    const engine::weights::RandomSource source(
        engine::architectures::BertParameters(config, {.pooler = true}), /*seed=*/3);
    EXPECT_OK(engine::analysis::SaveCheckpoint(config, source, path()));
    if (tokenizer) fs::copy_file(kTinyTokenizer, fs::path(path()) / "tokenizer.json");
  }
  std::string path() const { return scratch_ / "1"; }

 private:
  TemporaryDirectory scratch_;
};

struct Case {
  engine::Precision precision;
  int reused_heads;
};

std::vector<Case> CasesOfThisCpu() {
  std::vector<Case> cases = {{engine::Precision::kF32, 0}, {engine::Precision::kF32, 3}};
  if (engine::CpuMultipliesBf16()) {
    cases.push_back({engine::Precision::kBF16, 0});
    cases.push_back({engine::Precision::kBF16, 3});
  }
  return cases;
}

class ServedEngineTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ModelDirectory model;
    model.name = "tiny";
    model.versions = {{1, checkpoint_.path()}};
    model.options.precision = GetParam().precision;
    model.options.executors = 2;
    model.options.threads = 1;
    model.options.batching.max_batch_tokens = 256;
    model.options.batching.max_queue_delay_us = 3000;  // so that batches of several requests form
    core_ =
        std::make_unique<ServingCoreImpl>(std::vector<ModelDirectory>{model}, ModelSource(),
                                          LoadUnchecked, CoreOptions(), Clock::Real(), observer_);
    core_->StartLoading();
    ASSERT_OK(core_->AwaitLoaded(SteadyClock::time_point::max()).value());
  }

  PendingAnswer Infer(std::vector<Tensor> inputs, std::vector<std::string> outputs = {}) {
    auto request = std::make_unique<InferenceRequest>();
    request->model_name = "tiny";
    request->inputs = std::move(inputs);
    request->output_names = std::move(outputs);
    PendingAnswer answer;
    request->done = answer.callback();
    core_->Infer(std::move(request));
    return answer;
  }

  Checkpoint checkpoint_{SmallConfig(GetParam().reused_heads)};
  FakeObserver observer_;
  std::unique_ptr<ServingCoreImpl> core_;
};

std::vector<std::int64_t> RandomIds(std::size_t count, std::mt19937* random) {
  std::vector<std::int64_t> ids(count);
  for (auto& id : ids) id = static_cast<std::int64_t>((*random)() % 500);
  return ids;
}

// Of each output. Compare with EXPECT_TRUE(a == b): a failure need not print what nobody can read.
std::vector<std::string> Bytes(const InferenceReply& reply) {
  std::vector<std::string> bytes;
  for (const Tensor& tensor : reply.outputs) bytes.push_back(tensor.raw);
  return bytes;
}

TEST_P(ServedEngineTest, AnswersHaveTheSameBitsAloneAndInAnyBatch) {
  std::mt19937 random(11);
  std::vector<std::vector<Tensor>> requests;
  for (int i = 0; i < 60; ++i) {
    const auto columns = static_cast<std::int64_t>(1 + random() % 40);
    requests.push_back({Int64Tensor("input_ids", {1, columns}, RandomIds(columns, &random))});
  }
  std::vector<std::vector<std::string>> alone;
  for (const auto& request : requests) {
    const auto reply = Infer(request).Await();
    ASSERT_OK(reply);
    EXPECT_EQ(reply->timing.batch_rows, 1);
    alone.push_back(Bytes(*reply));
  }
  std::int64_t shared = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::size_t> order(requests.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<PendingAnswer> answers;
    for (const std::size_t i : order) answers.push_back(Infer(requests[i]));
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto reply = answers[i].Await();
      ASSERT_OK(reply);
      shared += reply->timing.batch_rows > 1 ? 1 : 0;
      ASSERT_TRUE(Bytes(*reply) == alone[order[i]])
          << "request " << order[i] << " in round " << round;
    }
  }
  EXPECT_GT(shared, 0);  // else nothing was tested
}

TEST_P(ServedEngineTest, PaddingChangesNoBit) {
  std::mt19937 random(12);
  const std::vector<std::int64_t> ids = RandomIds(7, &random);
  const auto plain = Infer({Int64Tensor("input_ids", {1, 7}, ids)}).Await();
  ASSERT_OK(plain);
  std::vector<std::int64_t> padded(2 * 20, 0), mask(2 * 20, 0);
  std::copy(ids.begin(), ids.end(), padded.begin() + 20);
  std::fill_n(mask.begin() + 20, 7, 1);
  std::fill_n(mask.begin(), 20, 1);  // a longer neighbour in the same request
  const auto reply = Infer({Int64Tensor("input_ids", {2, 20}, padded),
                            Int64Tensor("attention_mask", {2, 20}, mask)})
                         .Await();
  ASSERT_OK(reply);
  ASSERT_EQ(reply->outputs.size(), 3u);
  const std::size_t row = 64 * sizeof(float);
  EXPECT_TRUE(reply->outputs[0].raw.substr(20 * row, 7 * row) == plain->outputs[0].raw);
  EXPECT_TRUE(reply->outputs[0].raw.substr(27 * row) == std::string(13 * row, '\0'));
  EXPECT_TRUE(reply->outputs[1].raw.substr(row) == plain->outputs[1].raw);
  EXPECT_TRUE(reply->outputs[2].raw.substr(row) == plain->outputs[2].raw);
}

TEST_P(ServedEngineTest, ATextIsItsIds) {
  const auto tokenizer = pipeline::Tokenizer::FromFile(kTinyTokenizer);
  ASSERT_OK(tokenizer);
  const auto encoding = (*tokenizer)->Encode("the cats sat on a mat");
  ASSERT_OK(encoding);
  const std::vector<std::int64_t> ids(encoding->ids.begin(), encoding->ids.end());
  const std::vector<std::int64_t> types(encoding->type_ids.begin(), encoding->type_ids.end());
  const auto columns = static_cast<std::int64_t>(ids.size());
  const auto by_text = Infer({TextTensor({1}, {"the cats sat on a mat"})}).Await();
  const auto by_ids = Infer({Int64Tensor("input_ids", {1, columns}, ids),
                             Int64Tensor("token_type_ids", {1, columns}, types)},
                            {"sentence_embedding"})
                          .Await();
  ASSERT_OK(by_text);
  ASSERT_OK(by_ids);
  EXPECT_TRUE(Bytes(*by_text) == Bytes(*by_ids));
}

TEST_P(ServedEngineTest, DescriptionSaysWhatTheModelTakesAndGives) {
  const auto description = core_->Describe("tiny", "");
  ASSERT_OK(description);
  std::vector<std::string> inputs, outputs;
  for (const TensorSpec& spec : description->inputs) inputs.push_back(spec.name);
  for (const TensorSpec& spec : description->outputs) outputs.push_back(spec.name);
  EXPECT_THAT(inputs, ElementsAre("input_ids", "attention_mask", "token_type_ids", "text"));
  EXPECT_THAT(outputs, ElementsAre("last_hidden_state", "pooler_output", "sentence_embedding"));
  EXPECT_THAT(description->inputs[3].shape, ElementsAre(-1, 1));
  EXPECT_THAT(description->outputs[0].shape, ElementsAre(-1, -1, 64));
  EXPECT_EQ(description->limits.max_batch_tokens, 256);
  EXPECT_EQ(description->limits.max_sequence_tokens, 64);
  EXPECT_EQ(description->limits.executors, 2);
  EXPECT_NE(description->model, nullptr);
  EXPECT_THAT(description->versions, ElementsAre("1"));
}

INSTANTIATE_TEST_SUITE_P(ServableLoader, ServedEngineTest, ::testing::ValuesIn(CasesOfThisCpu()),
                         [](const auto& info) {
                           const bool half = info.param.precision == engine::Precision::kBF16;
                           return std::string(half ? "Bf16" : "Fp32") +
                                  (info.param.reused_heads > 0 ? "Reuse" : "Exact");
                         });

TEST(LoadServable, WithoutTokenizerThereIsNoTextInput) {
  const Checkpoint checkpoint(SmallConfig(0), /*tokenizer=*/false);
  const auto parts = LoadUnchecked("m", {1, checkpoint.path()}, {});
  ASSERT_OK(parts);
  EXPECT_EQ(parts->tokenizer, nullptr);
  ASSERT_EQ(parts->description.inputs.size(), 3u);
  EXPECT_FALSE(parts->description.inputs[0].optional);
}

TEST(LoadServable, FailuresNameTheStep) {
  const TemporaryDirectory empty;
  EXPECT_THAT(LoadUnchecked("m", {1, empty.path()}, {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("reading the model: ")));
  BertConfig small = SmallConfig(0);
  small.vocab_size = 5;
  const Checkpoint checkpoint(small);
  EXPECT_THAT(LoadUnchecked("m", {1, checkpoint.path()}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("reading the tokenizer: "), HasSubstr("vocab_size 5"))));
}

TEST(LoadServable, NeedsRoomForTheWeights) {
  const Checkpoint checkpoint(SmallConfig(0));
  const auto in = [&](MemoryBudget& budget) {
    return LoadServable("m", {1, checkpoint.path()}, {}, {}, budget).status();
  };
  const std::int64_t needed = *WeightBytes(checkpoint.path(), engine::Precision::kAuto, {});
  MemoryBudget enough(needed, [] { return 0; });
  EXPECT_OK(in(enough));
  EXPECT_OK(in(enough));  // the first load has given its share back
  MemoryBudget less(needed - 1, [] { return 0; });
  EXPECT_THAT(in(less), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("reserving memory: its weights take")));
}

TEST(LoadServable, WeightsTakeFourOrTwoBytesEach) {
  const Checkpoint checkpoint(SmallConfig(0));
  const std::int64_t fp32 = *WeightBytes(checkpoint.path(), engine::Precision::kF32, {});
  EXPECT_EQ(fp32, 2 * *WeightBytes(checkpoint.path(), engine::Precision::kBF16, {}));
  const engine::DeviceId gpu = {engine::DeviceId::Kind::kCuda, 0};
  EXPECT_EQ(0, *WeightBytes(checkpoint.path(), engine::Precision::kBF16, gpu));
  ModelServingOptions options;
  options.precision = engine::Precision::kF32;
  const auto parts = LoadUnchecked("m", {1, checkpoint.path()}, options);
  ASSERT_OK(parts);
  EXPECT_LE(fp32, parts->description.model->parameter_bytes());
  EXPECT_GE(2 * fp32, parts->description.model->parameter_bytes());
}

TEST(LoadServable, CountsScoresOfAllHeadsAlive) {
  const Checkpoint checkpoint(SmallConfig(3));
  ModelServingOptions options;
  options.precision = engine::Precision::kF32;
  const auto parts = LoadUnchecked("m", {1, checkpoint.path()}, options);
  ASSERT_OK(parts);
  EXPECT_EQ(parts->score_bytes_per_square, 4 * 4);
}

}  // namespace
}  // namespace reprise::server::repository
