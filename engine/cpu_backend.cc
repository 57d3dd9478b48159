#include "engine/cpu_backend.h"

#include <algorithm>
#include <utility>

#include "engine/architectures/bert_weights.h"
#include "engine/backend.h"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/device/cpu/isa.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/executor.h"
#include "engine/layers/transformer_stack.h"
#include "engine/memory/buffer.h"
#include "engine/ops/embedding.h"
#include "engine/ops/pooling.h"

namespace reprise::engine {
namespace {

// A model's weights in the host's memory.
class CpuModel : public ModelBackend {
 public:
  CpuModel(const BackendRequest& request, architectures::BertWeights weights)
      : config(request.config),
        parts(request.parts),
        precision(request.precision),
        weights(std::move(weights)) {}

  std::int64_t parameter_bytes() const override { return weights.packed_bytes; }
  std::string DescribeDevice() const override { return device::DescribeCpuIsa(); }
  absl::StatusOr<std::unique_ptr<ExecutorBackend>> NewExecutor(
      const ExecutorOptions& options) const override;

  const architectures::BertConfig& config;
  const architectures::BertParts& parts;
  const Precision precision;
  const architectures::BertWeights weights;
};

class CpuExecutor : public ExecutorBackend {
 public:
  CpuExecutor(const CpuModel& model, const ExecutorOptions& options)
      : model_(model),
        options_(options),
        team_({options.threads, options.pin_threads, options.first_core}) {}

  absl::Status Allocate();
  absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs,
                   ExecutionReport* report) override;

 private:
  void DescribeMemory(ExecutionReport* report) const;
  void RunHeads(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);
  MatrixView<float> Rows(const memory::Buffer& buffer, std::int64_t rows, std::int64_t columns) {
    return {buffer.as<float>(), rows, columns, columns};
  }

  const CpuModel& model_;
  const ExecutorOptions options_;
  device::ThreadTeam team_;
  std::unique_ptr<layers::TransformerStack> stack_;
  memory::Buffer first_tokens_;  // operand of the pooler
  memory::Buffer pooled_;        // [max_batch_sequences, hidden_size]
  memory::Buffer embedding_;     // [max_batch_sequences, hidden_size]
  memory::Buffer logits_;        // [max_batch_sequences, num_labels]
  memory::Buffer head_scratch_;
};

absl::Status CpuExecutor::Allocate() {
  const device::ExecutionScope scope;
  const architectures::BertConfig& config = model_.config;
  const architectures::BertWeights& weights = model_.weights;
  const layers::StackModel stack_model = {
      .plan = &model_.config.plan,
      .layers = weights.layers,
      .final_norm = weights.final_norm ? &*weights.final_norm : nullptr,
      .norm_first = config.norm_first,
      .precision = ElementType(model_.precision),
      .hidden_size = config.hidden_size,
      .relative_max_distance = config.relative_position_max};
  const layers::StackOptions stack_options = {
      .max_tokens = options_.max_batch_tokens,
      .max_sequences = std::min(options_.max_batch_sequences, options_.max_batch_tokens),
      .max_seq_len =
          std::min<std::int64_t>(config.max_position_embeddings, options_.max_batch_tokens),
      .score_cache_bytes = options_.score_cache_bytes,
      .score_format = ResolveScoreFormat(options_.score_format, model_.precision),
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
  return absl::OkStatus();
}

absl::Status CpuExecutor::Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs,
                              ExecutionReport* report) {
  REPRISE_RETURN_IF_ERROR(stack_->CheckScores(batch));
  const device::ExecutionScope scope;
  layers::PhaseClock clock(report);
  const architectures::BertWeights& weights = model_.weights;
  ops::SumEmbeddings(team_, batch,
                     {weights.token_embeddings.data(), weights.position_embeddings.data(),
                      weights.type_embeddings.data()},
                     stack_->hidden(batch.total_tokens()));
  stack_->Run(batch, weights.embedding_norm, clock, report);
  RunHeads(batch, wanted, outputs);
  clock.EndOf(Phase::kPooling);
  report->compute_ns = clock.elapsed_ns();
  report->direct_runs = 1;
  DescribeMemory(report);
  return absl::OkStatus();
}

void CpuExecutor::DescribeMemory(ExecutionReport* report) const {
  report->arena_bytes = stack_->arena_bytes() + first_tokens_.bytes() + pooled_.bytes() +
                        embedding_.bytes() + logits_.bytes() + head_scratch_.bytes();
  report->arena_peak_bytes = report->arena_bytes;  // planned and taken whole at creation
  report->score_cache_capacity_bytes = stack_->score_cache().capacity_bytes();
}

void CpuExecutor::RunHeads(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs) {
  const architectures::BertConfig& config = model_.config;
  const architectures::BertWeights& weights = model_.weights;
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
    outputs->logits = Rows(logits_, sequences, model_.parts.num_labels);
  }
}

absl::StatusOr<std::unique_ptr<ExecutorBackend>> CpuModel::NewExecutor(
    const ExecutorOptions& options) const {
  auto executor = std::make_unique<CpuExecutor>(*this, options);
  REPRISE_RETURN_IF_ERROR(executor->Allocate());
  return executor;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ModelBackend>> LoadOnCpu(const BackendRequest& request) {
  REPRISE_ASSIGN_OR_RETURN(
      architectures::BertWeights weights,
      architectures::PackBertWeights(request.config, request.parts, request.source,
                                     ElementType(request.precision)));
  return std::make_unique<const CpuModel>(request, std::move(weights));
}

const architectures::BertWeights& CpuWeights(const Model& model) {
  REPRISE_CHECK(model.device().kind == DeviceId::Kind::kCpu);
  return static_cast<const CpuModel&>(model.backend()).weights;
}

}  // namespace reprise::engine
