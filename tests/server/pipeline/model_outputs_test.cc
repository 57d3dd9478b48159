#include "server/pipeline/model_outputs.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/pipeline/model_inputs.h"
#include "tests/server/fakes/tensors.h"
#include "tests/status_matchers.h"

namespace reprise::server::pipeline {
namespace {

using ::reprise::server::testing::Floats;
using ::reprise::server::testing::Int64Tensor;
using ::reprise::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

OutputRules Rules(const engine::OutputSet& has) {
  return {
      .model_name = "mini", .has = has, .hidden_size = 2, .num_labels = 3, .max_reply_bytes = 1000};
}

std::vector<std::string> Defaults(bool for_text, const engine::OutputSet& has) {
  return ChooseOutputs({}, for_text, Rules(has)).value().names;
}

TEST(ChooseOutputs, ForIdsTheDefaultIsEverything) {
  EXPECT_THAT(Defaults(false, {true, true, true, true}),
              ElementsAre("last_hidden_state", "pooler_output", "sentence_embedding", "logits"));
  EXPECT_THAT(Defaults(false, {.last_hidden_state = true}), ElementsAre("last_hidden_state"));
}

TEST(ChooseOutputs, ForTextTheDefaultIsWhatTheModelIsFor) {
  EXPECT_THAT(Defaults(true, {true, true, true, false}), ElementsAre("sentence_embedding"));
  EXPECT_THAT(Defaults(true, {true, false, true, true}), ElementsAre("logits"));
  EXPECT_THAT(Defaults(true, {true, false, true, false}),
              ElementsAre("last_hidden_state", "pooler_output"));
}

TEST(ChooseOutputs, KeepsTheOrderAskedFor) {
  const std::vector<std::string> names = {"sentence_embedding", "last_hidden_state"};
  const auto wanted = ChooseOutputs(names, true, Rules({true, true, true, false}));
  ASSERT_OK(wanted);
  EXPECT_EQ(wanted->names, names);
  EXPECT_TRUE(wanted->set.last_hidden_state && wanted->set.sentence_embedding);
  EXPECT_FALSE(wanted->set.pooler_output || wanted->set.logits);
}

TEST(ChooseOutputs, UnknownAndRepeatedNamesAreRefused) {
  const OutputRules rules = Rules({.last_hidden_state = true});
  EXPECT_THAT(ChooseOutputs(std::vector<std::string>{"embedding"}, false, rules),
              StatusIs(kInvalid, AllOf(HasSubstr("model 'mini'"), HasSubstr("'embedding'"),
                                       HasSubstr("expected last_hidden_state"))));
  EXPECT_THAT(ChooseOutputs(std::vector<std::string>{"logits"}, false, rules),
              StatusIs(kInvalid, HasSubstr("unknown output 'logits'")));
  EXPECT_THAT(ChooseOutputs(std::vector<std::string>(2, "last_hidden_state"), false, rules),
              StatusIs(kInvalid, HasSubstr("asked for twice")));
}

TEST(ReplyBytes, CountsEveryOutputAndIsBounded) {
  const OutputRules rules = Rules({true, true, true, true});
  const auto wanted = ChooseOutputs({}, false, rules).value();
  EXPECT_EQ(ReplyBytes(wanted, 2, 3, rules).value(), 2 * (3 * 2 + 2 + 2 + 3) * 4);
  EXPECT_THAT(ReplyBytes(wanted, 2, 300, rules),
              StatusIs(kInvalid, AllOf(HasSubstr("max_reply_bytes"), HasSubstr("1000"))));
}

TEST(TakeOutputs, CutsTheRequestOutOfItsBatch) {
  PackedRows packed;
  packed.cu_seqlens = {0, 1, 3};
  packed.position_ids = {1, 0, 2};
  packed.padded_len = 3;
  std::vector<float> hidden = {-1, -2, 1, 2, 3, 4, 5, 6};  // token 0 belongs to another request
  std::vector<float> pooled = {-1, -1, 10, 11, 20, 21};
  engine::Outputs outputs;
  outputs.last_hidden_state = {hidden.data(), 4, 2, 2};
  outputs.sentence_embedding = {pooled.data(), 3, 2, 2};
  const WantedOutputs wanted{{"sentence_embedding", "last_hidden_state"}, {true, true}};
  const std::vector<Tensor> tensors = TakeOutputs(wanted, packed, outputs, 1, 1);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "sentence_embedding");
  EXPECT_THAT(tensors[0].shape, ElementsAre(2, 2));
  EXPECT_THAT(Floats(tensors[0]), ElementsAre(10, 11, 20, 21));
  EXPECT_EQ(tensors[1].datatype, DataType::kFp32);
  EXPECT_THAT(tensors[1].shape, ElementsAre(2, 3, 2));
  EXPECT_THAT(Floats(tensors[1]), ElementsAre(0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 5, 6));
}

TEST(TakeOutputs, RowsOfTheEngineMayBeFurtherApart) {
  PackedRows packed;
  packed.cu_seqlens = {0, 1};
  packed.position_ids = {0};
  packed.padded_len = 1;
  std::vector<float> logits = {1, 2, 3, -9};
  engine::Outputs outputs;
  outputs.logits = {logits.data(), 1, 3, 4};
  const WantedOutputs wanted{{"logits"}, {.logits = true}};
  EXPECT_THAT(Floats(TakeOutputs(wanted, packed, outputs, 0, 0)[0]), ElementsAre(1, 2, 3));
}

TEST(TakeOutputs, AnyMaskComesBackInPlace) {
  constexpr std::int64_t kRows = 4, kColumns = 8;
  const InputRules rules{.model_name = "m",
                         .vocab_size = 1000,
                         .type_vocab_size = 1,
                         .max_sequence_tokens = 8,
                         .max_text_tokens = 8,
                         .max_text_bytes = 8,
                         .max_batch_size = 4,
                         .max_batch_tokens = 32};
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int64_t> ids(kRows * kColumns), mask(kRows * kColumns);
    for (auto& id : ids) id = 1 + static_cast<std::int64_t>(random() % 999);
    for (auto& bit : mask) bit = random() % 2;
    for (std::int64_t row = 0; row < kRows; ++row) mask[row * kColumns + random() % kColumns] = 1;
    const std::vector<Tensor> inputs = {Int64Tensor("input_ids", {kRows, kColumns}, ids),
                                        Int64Tensor("attention_mask", {kRows, kColumns}, mask)};
    const PackedRows packed = PackIds(NameInputs(inputs, rules).value(), rules).value();
    // An engine that answers each token with its id.
    const std::vector<float> hidden(packed.input_ids.begin(), packed.input_ids.end());
    engine::Outputs outputs;
    outputs.last_hidden_state = {hidden.data(), packed.tokens(), 1, 1};
    const WantedOutputs wanted{{"last_hidden_state"}, {.last_hidden_state = true}};
    std::vector<float> expected;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      expected.push_back(static_cast<float>(ids[i] * mask[i]));
    }
    ASSERT_EQ(Floats(TakeOutputs(wanted, packed, outputs, 0, 0)[0]), expected) << "round " << round;
  }
}

TEST(Union, WantsWhatEitherWants) {
  const engine::OutputSet both = Union({.logits = true}, {.last_hidden_state = true});
  EXPECT_TRUE(both.logits && both.last_hidden_state);
  EXPECT_FALSE(both.pooler_output || both.sentence_embedding);
}

}  // namespace
}  // namespace reprise::server::pipeline
