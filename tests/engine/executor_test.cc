#include "engine/executor.h"

#include <limits>

#include "engine/architectures/bert_cost.h"
#include "engine/memory/buffer.h"
#include "engine/ops/attention.h"
#include "tests/engine/tiny_model.h"
#include "tests/status_matchers.h"

namespace reprise::engine {
namespace {

using ::reprise::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class ExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto executor = Executor::Create(TinyModel(Precision::kF32, TinyConfig()),
                                     {.max_batch_tokens = 20, .max_batch_sequences = 3});
    ASSERT_OK(executor);
    executor_ = *std::move(executor);
  }

  absl::Status Run(const std::vector<std::int32_t>& cu_seqlens,
                   const std::vector<std::int32_t>& ids,
                   const std::vector<std::int32_t>& types = {},
                   const std::vector<std::int32_t>& positions = {},
                   const OutputSet& wanted = {.last_hidden_state = true}) {
    return executor_->Run({cu_seqlens, ids, types, positions}, wanted, &outputs_);
  }

  std::unique_ptr<Executor> executor_;
  Outputs outputs_;
};

TEST_F(ExecutorTest, AnswersInThePackedShape) {
  ASSERT_OK(Run({0, 2, 5}, {1, 2, 3, 4, 5}));
  EXPECT_EQ(outputs_.last_hidden_state.rows, 5);
  EXPECT_EQ(outputs_.last_hidden_state.columns, 32);
  EXPECT_EQ(outputs_.sentence_embedding.data, nullptr);
}

TEST_F(ExecutorTest, NamesWhatIsWrongWithABatch) {
  EXPECT_THAT(Run({}, {}), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(Run({0}, {}), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(Run({1, 2}, {1, 1}), StatusIs(kInvalid, HasSubstr("starts with 1")));
  EXPECT_THAT(Run({0, 0}, {}), StatusIs(kInvalid, HasSubstr("sequence 0 has 0 tokens")));
  EXPECT_THAT(Run({0, 3, 2}, {1, 1, 1}), StatusIs(kInvalid, HasSubstr("sequence 1 has -1")));
  EXPECT_THAT(Run({0, std::numeric_limits<std::int32_t>::max()}, {1}),
              StatusIs(kInvalid, HasSubstr("expected 1 to 12")));
  EXPECT_THAT(Run({0, 1, 2, 3, 4}, {1, 1, 1, 1}), StatusIs(kInvalid, HasSubstr("at most 3")));
  EXPECT_THAT(Run({0, 10, 20, 21}, std::vector<std::int32_t>(21, 1)),
              StatusIs(kInvalid, HasSubstr("at most 20")));
  EXPECT_THAT(Run({0, 2}, {1}), StatusIs(kInvalid, HasSubstr("input_ids has 1")));
  EXPECT_THAT(Run({0, 1}, {50}), StatusIs(kInvalid, HasSubstr("0 to 49")));
  EXPECT_THAT(Run({0, 1}, {-1}), StatusIs(kInvalid, HasSubstr("is -1")));
  EXPECT_THAT(Run({0, 1}, {1}, {2}), StatusIs(kInvalid, HasSubstr("token_type_ids")));
  EXPECT_THAT(Run({0, 1}, {1}, {0, 0}), StatusIs(kInvalid, HasSubstr("token_type_ids has 2")));
  EXPECT_THAT(Run({0, 1}, {1}, {}, {12}), StatusIs(kInvalid, HasSubstr("position_ids")));
  EXPECT_THAT(Run({0, 2}, {1, 1}, {}, {3, 3}), StatusIs(kInvalid, HasSubstr("rising")));
}

TEST_F(ExecutorTest, GoesOnAfterABadBatch) {
  EXPECT_FALSE(Run({0, 1}, {99}).ok());
  EXPECT_OK(Run({0, 1}, {9}));
}

TEST_F(ExecutorTest, AnOutputThatTheModelLacksIsNamed) {
  EXPECT_THAT(Run({0, 1}, {1}, {}, {}, {.sentence_embedding = true}),
              StatusIs(kInvalid, HasSubstr("sentence_embedding")));
  EXPECT_THAT(Run({0, 1}, {1}, {}, {}, {.logits = true}), StatusIs(kInvalid, HasSubstr("logits")));
}

TEST_F(ExecutorTest, OptionsOutOfRangeAreNamed) {
  const auto model = TinyModel(Precision::kF32, TinyConfig());
  EXPECT_THAT(Executor::Create(model, {.threads = 0}), StatusIs(kInvalid, HasSubstr("threads")));
  EXPECT_THAT(Executor::Create(model, {.max_batch_tokens = 0}),
              StatusIs(kInvalid, HasSubstr("max_batch_tokens")));
  EXPECT_THAT(Executor::Create(model, {.max_batch_sequences = -1}),
              StatusIs(kInvalid, HasSubstr("max_batch_sequences")));
  EXPECT_THAT(Executor::Create(model, {.score_cache_bytes = -1}),
              StatusIs(kInvalid, HasSubstr("score_cache_bytes")));
}

TEST_F(ExecutorTest, StoredWithoutRoomIsRefusedNotGrown) {
  auto executor = Executor::Create(
      TinyModel(Precision::kF32, TinyConfig()),
      {.max_batch_tokens = 20, .score_cache_bytes = 1000, .strategy = ReuseStrategy::kStored});
  ASSERT_OK(executor);
  const std::vector<std::int32_t> cu_seqlens = {0, 12}, ids(12, 1);
  EXPECT_THAT((*executor)->Run({cu_seqlens, ids, {}, {}}, {.last_hidden_state = true}, &outputs_),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("score cache")));
}

TEST_F(ExecutorTest, ReportCountsTheMultiplyAddsOfEachSequence) {
  ASSERT_OK(Run({0, 3, 4, 12}, std::vector<std::int32_t>(12, 1)));
  const architectures::BertConfig config = TinyConfig();
  const reuse::TransformerShape shape = architectures::CostShape(config, false, 0);
  const reuse::ReusePlan exact = *reuse::ReusePlan::Exact(config.num_layers, config.num_heads);
  std::int64_t reused = 0, all = 0;
  for (const std::int64_t n : {3, 1, 8}) {
    reused += reuse::ModelMultiplyAdds(shape, config.plan, {.source = n}).total();
    all += reuse::ModelMultiplyAdds(shape, exact, {.source = n}).total();
  }
  EXPECT_EQ(executor_->report().multiply_adds, reused);
  EXPECT_EQ(executor_->report().multiply_adds_exact, all);
}

TEST_F(ExecutorTest, ReportTellsTheAttentionProductsApart) {
  ASSERT_OK(Run({0, 3, 10}, std::vector<std::int32_t>(10, 1)));
  const architectures::BertConfig config = TinyConfig();
  const std::int64_t entries = config.num_layers * config.num_heads * (9 + 49);
  const std::int64_t reused = 2 * 2 * (9 + 49);  // 2 heads in 2 layers, stored
  const ExecutionReport& report = executor_->report();
  EXPECT_EQ(report.attention_multiply_adds_exact, 2 * entries * config.head_dim());
  EXPECT_EQ(report.attention_multiply_adds, (2 * entries - reused) * config.head_dim());
}

TEST_F(ExecutorTest, ReportCountsWhatRanBesideTheTokens) {
  ASSERT_OK(Run({0, 3, 10}, std::vector<std::int32_t>(10, 1)));
  const architectures::BertConfig config = TinyConfig();
  const ExecutionReport& report = executor_->report();
  EXPECT_EQ(report.padding_rows, config.num_layers * (16 - 10));
  const std::int64_t step =
      ops::Attention({.head_dim = config.head_dim(), .max_seq_len = 12}).key_step();
  std::int64_t padding = 0;
  for (const std::int64_t n : {3, 7}) padding += n * (memory::AlignUp(n, step) - n);
  ASSERT_GT(padding, 0);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const auto computed = static_cast<std::int64_t>(config.plan.computed_heads(layer).size());
    EXPECT_EQ(report.layer_scores[layer].padding, computed * padding) << layer;
  }
}

TEST_F(ExecutorTest, ReportSumsToTheExactRunsScores) {
  ASSERT_OK(Run({0, 3, 10}, std::vector<std::int32_t>(10, 1)));
  const ExecutionReport& report = executor_->report();
  std::int64_t computed = 0, reused = 0, recomputed = 0;
  for (const ScoreCounts& layer : report.layer_scores) {
    computed += layer.computed;
    reused += layer.reused;
    recomputed += layer.recomputed;
  }
  // 4 layers of 4 heads, 2 of 4 reused in layers 2 and 3.
  EXPECT_EQ(computed, (16 - 4) * (9 + 49));
  EXPECT_EQ(reused, 4 * (9 + 49));
  EXPECT_EQ(recomputed, 0);
  EXPECT_EQ(report.stored_groups, 2);
  EXPECT_LT(report.multiply_adds, report.multiply_adds_exact);
  EXPECT_GT(report.score_cache_live_bytes, 0);
  EXPECT_LE(report.score_cache_live_bytes, report.score_cache_capacity_bytes);
  EXPECT_GT(report.compute_ns, 0);
  std::int64_t phases = 0;
  for (const std::int64_t ns : report.phase_ns) phases += ns;
  EXPECT_LE(phases, report.compute_ns);
}

}  // namespace
}  // namespace reprise::engine
