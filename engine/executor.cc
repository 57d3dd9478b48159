#include "engine/executor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_cost.h"
#include "engine/architectures/bert_weights.h"
#include "engine/batch_check.h"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/layers/transformer_stack.h"
#include "engine/memory/buffer.h"
#include "engine/ops/embedding.h"
#include "engine/ops/pooling.h"
#include "engine/range_check.h"

namespace reprise::engine {
namespace {

constexpr int kMaxThreads = 1024;
constexpr std::int64_t kMaxBatchTokens = std::int64_t{1} << 24;

absl::Status CheckOptions(const ExecutorOptions& options) {
  REPRISE_RETURN_IF_ERROR(CheckRange("threads", options.threads, 1, kMaxThreads));
  REPRISE_RETURN_IF_ERROR(CheckRange("first_core", options.first_core, 0, 1 << 20));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_batch_tokens", options.max_batch_tokens, 1, kMaxBatchTokens));
  REPRISE_RETURN_IF_ERROR(
      CheckRange("max_batch_sequences", options.max_batch_sequences, 1, kMaxBatchTokens));
  return CheckRange("score_cache_bytes", options.score_cache_bytes, 0, std::int64_t{1} << 42);
}

absl::Status Missing(const char* output, const char* reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("the model has no output '", output, "': ", reason));
}

reuse::AllowedStrategies Allowed(ReuseStrategy strategy) {
  const auto allows = [&](ReuseStrategy one) {
    return strategy == ReuseStrategy::kAuto || strategy == one;
  };
  return {.stored = allows(ReuseStrategy::kStored),
          .recompute = allows(ReuseStrategy::kRecompute),
          .fused = allows(ReuseStrategy::kFused)};
}

}  // namespace

DType ResolveScoreFormat(ScoreFormat format, Precision resolved) {
  if (format == ScoreFormat::kF32) return DType::kF32;
  if (format == ScoreFormat::kBF16) return DType::kBF16;
  return ElementType(resolved);
}

class Executor::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, const ExecutorOptions& options)
      : model_(std::move(model)),
        options_(options),
        team_({options.threads, options.pin_threads, options.first_core}),
        one_token_(reuse::Predict(
            architectures::CostShape(model_->config(), model_->has_pooler(), model_->num_labels()),
            model_->plan(), {.source = 1})) {}

  absl::Status Allocate();
  absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);

  const ExecutionReport& report() const { return report_; }
  const Model& model() const { return *model_; }
  const ExecutorOptions& options() const { return options_; }

 private:
  absl::Status CheckOutputs(const OutputSet& wanted) const;
  void ResetReport(const RaggedBatch& batch);
  void RunHeads(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);
  void CountMultiplyAdds(const RaggedBatch& batch);
  MatrixView<float> Rows(const memory::Buffer& buffer, std::int64_t rows, std::int64_t columns) {
    return {buffer.as<float>(), rows, columns, columns};
  }

  const std::shared_ptr<const Model> model_;
  const ExecutorOptions options_;
  device::ThreadTeam team_;
  const reuse::PlanSavings one_token_;  // the cost of a sequence of one token
  std::unique_ptr<layers::TransformerStack> stack_;
  memory::Buffer first_tokens_;  // operand of the pooler
  memory::Buffer pooled_;        // [max_batch_sequences, hidden_size]
  memory::Buffer embedding_;     // [max_batch_sequences, hidden_size]
  memory::Buffer logits_;        // [max_batch_sequences, num_labels]
  memory::Buffer head_scratch_;
  ExecutionReport report_;
};

absl::Status Executor::Impl::Allocate() {
  const device::ExecutionScope scope;
  const architectures::BertConfig& config = model_->config();
  const architectures::BertWeights& weights = model_->weights();
  const layers::StackModel stack_model = {
      .plan = &model_->plan(),
      .layers = weights.layers,
      .final_norm = weights.final_norm ? &*weights.final_norm : nullptr,
      .norm_first = config.norm_first,
      .precision = ElementType(model_->precision()),
      .hidden_size = config.hidden_size,
      .relative_max_distance = config.relative_position_max};
  const layers::StackOptions stack_options = {
      .max_tokens = options_.max_batch_tokens,
      .max_sequences = std::min(options_.max_batch_sequences, options_.max_batch_tokens),
      .max_seq_len =
          std::min<std::int64_t>(config.max_position_embeddings, options_.max_batch_tokens),
      .score_cache_bytes = options_.score_cache_bytes,
      .score_format = ResolveScoreFormat(options_.score_format, model_->precision()),
      .allowed = Allowed(options_.strategy)};
  REPRISE_ASSIGN_OR_RETURN(stack_,
                           layers::TransformerStack::Create(stack_model, stack_options, team_));

  const std::int64_t rows = ops::RoundedRows(stack_options.max_sequences);
  const auto allocate = [](std::int64_t bytes) {
    return memory::Buffer::Allocate(memory::Purpose::kActivations, bytes);
  };
  const std::int64_t row_bytes = config.hidden_size * static_cast<std::int64_t>(sizeof(float));
  std::int64_t scratch = 0;
  if (weights.pooler) {
    REPRISE_ASSIGN_OR_RETURN(first_tokens_, allocate(rows * row_bytes));
    REPRISE_ASSIGN_OR_RETURN(pooled_, allocate(rows * row_bytes));
    scratch = weights.pooler->scratchpad_bytes();
  }
  if (weights.classifier) {
    REPRISE_ASSIGN_OR_RETURN(logits_, allocate(weights.classifier->output(rows).bytes()));
    scratch = std::max(scratch, weights.classifier->scratchpad_bytes());
  }
  if (config.pooling != architectures::Pooling::kNone) {
    REPRISE_ASSIGN_OR_RETURN(embedding_, allocate(rows * row_bytes));
  }
  REPRISE_ASSIGN_OR_RETURN(
      head_scratch_, memory::Buffer::Allocate(memory::Purpose::kScratch, scratch * team_.size()));
  report_.layer_scores.resize(config.num_layers);
  return absl::OkStatus();
}

absl::Status Executor::Impl::CheckOutputs(const OutputSet& wanted) const {
  if (wanted.sentence_embedding && embedding_.bytes() == 0) {
    return Missing("sentence_embedding", "its directory has no modules.json with a pooling module");
  }
  if (wanted.pooler_output && !model_->has_pooler()) {
    return Missing("pooler_output", "its weights have no pooler.dense");
  }
  if (wanted.logits && model_->num_labels() == 0) {
    return Missing("logits", "its weights have no classifier");
  }
  return absl::OkStatus();
}

absl::Status Executor::Impl::Run(const RaggedBatch& batch, const OutputSet& wanted,
                                 Outputs* outputs) {
  *outputs = Outputs();
  REPRISE_RETURN_IF_ERROR(CheckBatch(batch, model_->config(),
                                     {options_.max_batch_tokens, options_.max_batch_sequences}));
  REPRISE_RETURN_IF_ERROR(CheckOutputs(wanted));
  REPRISE_RETURN_IF_ERROR(stack_->CheckScores(batch));

  const device::ExecutionScope scope;
  ResetReport(batch);
  layers::PhaseClock clock(&report_);
  const architectures::BertWeights& weights = model_->weights();
  ops::SumEmbeddings(team_, batch,
                     {weights.token_embeddings.data(), weights.position_embeddings.data(),
                      weights.type_embeddings.data()},
                     stack_->hidden(batch.total_tokens()));
  stack_->Run(batch, weights.embedding_norm, clock, &report_);
  RunHeads(batch, wanted, outputs);
  clock.EndOf(Phase::kPooling);
  report_.compute_ns = clock.elapsed_ns();
  CountMultiplyAdds(batch);
  return absl::OkStatus();
}

void Executor::Impl::ResetReport(const RaggedBatch& batch) {
  const std::int64_t arena_bytes = stack_->arena_bytes() + first_tokens_.bytes() + pooled_.bytes() +
                                   embedding_.bytes() + logits_.bytes() + head_scratch_.bytes();
  report_.sequences = batch.batch_size();
  report_.tokens = batch.total_tokens();
  std::fill(std::begin(report_.phase_ns), std::end(report_.phase_ns), 0);
  std::fill(report_.layer_scores.begin(), report_.layer_scores.end(), ScoreCounts());
  report_.stored_groups = 0;
  report_.recompute_groups = 0;
  report_.fused_groups = 0;
  report_.padding_rows = 0;
  report_.arena_bytes = arena_bytes;
  report_.arena_peak_bytes = arena_bytes;  // planned and taken whole at creation
  report_.score_cache_capacity_bytes = stack_->score_cache().capacity_bytes();
  report_.score_cache_live_bytes = 0;
}

void Executor::Impl::RunHeads(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs) {
  const architectures::BertConfig& config = model_->config();
  const architectures::BertWeights& weights = model_->weights();
  const std::int64_t sequences = batch.batch_size();
  const std::int64_t rows = ops::RoundedRows(sequences);
  const MatrixView<float> hidden = stack_->hidden(batch.total_tokens());
  if (wanted.last_hidden_state) outputs->last_hidden_state = hidden;
  if (wanted.sentence_embedding) {
    const MatrixView<float> embedding = Rows(embedding_, sequences, config.hidden_size);
    const bool mean = config.pooling == architectures::Pooling::kMean;
    ops::PoolSequences(team_, hidden, batch.cu_seqlens,
                       {.kind = mean ? ops::PoolingKind::kMean : ops::PoolingKind::kFirstToken,
                        .normalize = config.normalize},
                       embedding);
    outputs->sentence_embedding = embedding;
  }
  if (!wanted.pooler_output && !wanted.logits) return;
  ops::GatherFirstTokens(hidden, batch.cu_seqlens, DType::kF32, first_tokens_.data());
  weights.pooler->Run(team_, {first_tokens_.data(), rows}, {pooled_.data(), rows}, sequences,
                      head_scratch_.data());
  if (wanted.pooler_output) {
    outputs->pooler_output = Rows(pooled_, sequences, config.hidden_size);
  }
  if (wanted.logits) {
    weights.classifier->Run(team_, {pooled_.data(), rows}, {logits_.data(), rows}, sequences,
                            head_scratch_.data());
    outputs->logits = Rows(logits_, sequences, model_->num_labels());
  }
}

void Executor::Impl::CountMultiplyAdds(const RaggedBatch& batch) {
  std::int64_t squares = 0;  // sum of n^2
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) {
    squares += std::int64_t{batch.seq_len(s)} * batch.seq_len(s);
  }
  // Scores and context grow with n^2, everything else with n.
  const auto attention = [&](const reuse::MultiplyAdds& one) {
    return (one.scores + one.context) * squares;
  };
  const auto rest = [&](const reuse::MultiplyAdds& one) {
    return (one.total() - one.scores - one.context) * batch.total_tokens();
  };
  report_.attention_multiply_adds = attention(one_token_.multiply_adds);
  report_.attention_multiply_adds_exact = attention(one_token_.exact_multiply_adds);
  // A recomputed score costs its query x key product all the same.
  for (const ScoreCounts& scores : report_.layer_scores) {
    report_.attention_multiply_adds += scores.recomputed * model_->config().head_dim();
  }
  report_.multiply_adds = report_.attention_multiply_adds + rest(one_token_.multiply_adds);
  report_.multiply_adds_exact =
      report_.attention_multiply_adds_exact + rest(one_token_.exact_multiply_adds);
}

Executor::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executor::~Executor() = default;

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(std::shared_ptr<const Model> model,
                                                           const ExecutorOptions& options) {
  REPRISE_CHECK(model != nullptr);
  REPRISE_RETURN_IF_ERROR(CheckOptions(options));
  auto impl = std::make_unique<Impl>(std::move(model), options);
  REPRISE_RETURN_IF_ERROR(impl->Allocate());
  return std::unique_ptr<Executor>(new Executor(std::move(impl)));
}

absl::Status Executor::Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs) {
  return impl_->Run(batch, wanted, outputs);
}

const ExecutionReport& Executor::report() const { return impl_->report(); }
const Model& Executor::model() const { return impl_->model(); }
const ExecutorOptions& Executor::options() const { return impl_->options(); }

}  // namespace reprise::engine
