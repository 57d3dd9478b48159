#include "engine/executor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/architectures/bert_cost.h"
#include "engine/backend.h"
#include "engine/batch_check.h"
#include "engine/check.h"
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

}  // namespace

DType ResolveScoreFormat(ScoreFormat format, Precision resolved) {
  if (format == ScoreFormat::kF32) return DType::kF32;
  if (format == ScoreFormat::kBF16) return DType::kBF16;
  return ElementType(resolved);
}

class Executor::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, const ExecutorOptions& options,
       std::unique_ptr<ExecutorBackend> backend)
      : model_(std::move(model)),
        options_(options),
        one_token_(reuse::Predict(
            architectures::CostShape(model_->config(), model_->has_pooler(), model_->num_labels()),
            model_->plan(), {.source = 1})),
        backend_(std::move(backend)) {
    report_.layer_scores.resize(model_->config().num_layers);
  }

  absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);

  const ExecutionReport& report() const { return report_; }
  const Model& model() const { return *model_; }
  const ExecutorOptions& options() const { return options_; }

 private:
  absl::Status CheckOutputs(const OutputSet& wanted) const;
  void ResetReport(const RaggedBatch& batch);
  void CountMultiplyAdds(const RaggedBatch& batch);

  const std::shared_ptr<const Model> model_;
  const ExecutorOptions options_;
  const reuse::PlanSavings one_token_;  // the cost of a sequence of one token
  const std::unique_ptr<ExecutorBackend> backend_;
  ExecutionReport report_;
};

absl::Status Executor::Impl::CheckOutputs(const OutputSet& wanted) const {
  if (wanted.sentence_embedding && model_->config().pooling == architectures::Pooling::kNone) {
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
  ResetReport(batch);
  REPRISE_RETURN_IF_ERROR(backend_->Run(batch, wanted, outputs, &report_));
  CountMultiplyAdds(batch);
  return absl::OkStatus();
}

void Executor::Impl::ResetReport(const RaggedBatch& batch) {
  report_.sequences = batch.batch_size();
  report_.tokens = batch.total_tokens();
  std::fill(std::begin(report_.phase_ns), std::end(report_.phase_ns), 0);
  std::fill(report_.layer_scores.begin(), report_.layer_scores.end(), ScoreCounts());
  report_.stored_groups = 0;
  report_.recompute_groups = 0;
  report_.fused_groups = 0;
  report_.padding_rows = 0;
  report_.graph_replays = 0;
  report_.graph_captures = 0;
  report_.direct_runs = 0;
  report_.score_cache_live_bytes = 0;
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
  REPRISE_ASSIGN_OR_RETURN(std::unique_ptr<ExecutorBackend> backend,
                           model->backend().NewExecutor(options));
  return std::unique_ptr<Executor>(
      new Executor(std::make_unique<Impl>(std::move(model), options, std::move(backend))));
}

absl::Status Executor::Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs) {
  return impl_->Run(batch, wanted, outputs);
}

const ExecutionReport& Executor::report() const { return impl_->report(); }
const Model& Executor::model() const { return impl_->model(); }
const ExecutorOptions& Executor::options() const { return impl_->options(); }

}  // namespace reprise::engine
