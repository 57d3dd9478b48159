#include "engine/cuda/encoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/check.h"
#include "engine/memory/arena_plan.h"

namespace reprise::engine::cuda {
namespace {

using memory::Purpose;

// The steps of a layer between which buffers live.
enum Step { kProject, kAttend, kOutput, kFirstNorm, kUp, kDown, kSecondNorm };

constexpr std::int64_t kElement = sizeof(std::uint16_t);

}  // namespace

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Create(const Stream& stream,
                                                         const architectures::BertConfig& config,
                                                         const Weights& weights,
                                                         const EncoderLimits& limits) {
  std::unique_ptr<Encoder> encoder(new Encoder(config, weights, limits));
  REPRISE_RETURN_IF_ERROR(encoder->Allocate());
  REPRISE_RETURN_IF_ERROR(encoder->Tune(stream));
  return encoder;
}

absl::Status Encoder::Allocate() {
  const std::int64_t rows = limits_.max_tokens;
  const std::int64_t hidden = config_.hidden_size;
  const std::int64_t context = std::int64_t{config_.num_heads} * weights_.padded_head_dim;
  // The widest input projection has queries and keys of all heads.
  std::vector<memory::Lifetime> lifetimes(kNumBuffers);
  lifetimes[kProjected] = {rows * 3 * context * kElement, kProject, kAttend};
  lifetimes[kContext] = {rows * context * kElement, kAttend, kOutput};
  lifetimes[kDelta] = {rows * hidden * kElement, kOutput, kSecondNorm};
  lifetimes[kIntermediate] = {rows * weights_.padded_intermediate_size * kElement, kUp, kDown};
  const memory::ArenaPlan plan = memory::PlanArena(lifetimes);
  std::copy(plan.offsets.begin(), plan.offsets.end(), offsets_.begin());
  REPRISE_ASSIGN_OR_RETURN(arena_, DeviceBuffer::Allocate(Purpose::kActivations, plan.bytes));
  REPRISE_ASSIGN_OR_RETURN(operand_,
                           DeviceBuffer::Allocate(Purpose::kActivations, rows * hidden * kElement));
  REPRISE_ASSIGN_OR_RETURN(
      hidden_, DeviceBuffer::Allocate(Purpose::kActivations, rows * hidden * sizeof(float)));

  const std::int64_t slots = config_.plan.num_score_slots();
  REPRISE_ASSIGN_OR_RETURN(
      probs_,
      DeviceBuffer::Allocate(Purpose::kScores, limits_.max_prob_tiles * kTileScores * kElement));
  REPRISE_ASSIGN_OR_RETURN(
      maxima_,
      DeviceBuffer::Allocate(Purpose::kScores, limits_.max_max_tiles * kTile * sizeof(float)));
  REPRISE_ASSIGN_OR_RETURN(sums_,
                           DeviceBuffer::Allocate(Purpose::kScores, slots * rows * sizeof(float)));
  const std::int64_t kept =
      limits_.keeps_projections ? slots * 2 * rows * weights_.padded_head_dim : 0;
  REPRISE_ASSIGN_OR_RETURN(projections_, DeviceBuffer::Allocate(Purpose::kScores, kept * kElement));
  return absl::OkStatus();
}

absl::Status Encoder::Tune(const Stream& stream) {
  std::int64_t workspace = 0;
  const auto tune = [&](const Dense& dense) -> absl::Status {
    const std::pair shape = {dense.out_features(), dense.in_features()};
    for (const auto& [known, gemm] : gemms_) {
      if (known == shape) return absl::OkStatus();
    }
    REPRISE_ASSIGN_OR_RETURN(
        std::shared_ptr<const Gemm> gemm,
        Gemm::Tune(stream, dense, limits_.max_tokens, limits_.batch_invariant));
    workspace = std::max(workspace, gemm->workspace_bytes());
    gemms_.emplace_back(shape, std::move(gemm));
    return absl::OkStatus();
  };
  for (const Layer& layer : weights_.layers) {
    if (layer.attention) {
      REPRISE_RETURN_IF_ERROR(tune(layer.attention->input_projection));
      REPRISE_RETURN_IF_ERROR(tune(layer.attention->output_projection));
    }
    REPRISE_RETURN_IF_ERROR(tune(layer.up));
    REPRISE_RETURN_IF_ERROR(tune(layer.down));
  }
  REPRISE_ASSIGN_OR_RETURN(workspace_, DeviceBuffer::Allocate(Purpose::kScratch, workspace));
  return absl::OkStatus();
}

absl::Status Encoder::RunDense(const Stream& stream, const Dense& dense, const std::uint16_t* x,
                               std::uint16_t* y, std::int64_t rows) const {
  for (const auto& [shape, gemm] : gemms_) {
    if (shape == std::pair{dense.out_features(), dense.in_features()}) {
      return gemm->Run(stream, dense, x, y, rows, workspace_.data());
    }
  }
  REPRISE_CHECK(false);  // every shape was tuned
}

absl::Status Encoder::Enqueue(const Stream& stream, const DeviceBatch& batch, std::int64_t rows,
                              std::span<const DeviceSchedule* const> group_schedule,
                              const PhaseMarker& end_of) const {
  // The embeddings' norm is a post-norm whatever the blocks are.
  REPRISE_RETURN_IF_ERROR(
      EmbedAndNorm(stream, {.rows = rows,
                            .hidden_size = config_.hidden_size,
                            .ids = batch.ids,
                            .types = batch.types,
                            .positions = batch.positions,
                            .token_table = weights_.token_embeddings.as<float>(),
                            .position_table = weights_.position_embeddings.as<float>(),
                            .type_table = weights_.type_embeddings.as<float>(),
                            .norm = weights_.embedding_norm.view(),
                            .outputs = {.operand = config_.norm_first ? nullptr : operand(0),
                                        .stream = config_.norm_first ? hidden_row(0) : nullptr}}));
  if (config_.norm_first) {
    REPRISE_RETURN_IF_ERROR(AddNorm(stream, {0, rows}, nullptr, FirstNormOf(0), false));
  }
  REPRISE_RETURN_IF_ERROR(end_of(Phase::kEmbedding));

  for (std::size_t group = 0; group < config_.plan.groups().size(); ++group) {
    const reuse::LayerRange range = config_.plan.groups()[group];
    const DeviceSchedule& schedule = *group_schedule[group];
    for (std::size_t index = 0; index < schedule.micro_batches.size(); ++index) {
      const layers::MicroBatch& micro = schedule.micro_batches[index].micro;
      // A batch that is one micro-batch may have been given rows beyond its tokens.
      const Rows run = {micro.first_row, schedule.micro_batches.size() == 1 ? rows : micro.rows};
      for (int layer = range.first; layer <= range.last; ++layer) {
        if (weights_.layers[layer].attention) {
          REPRISE_RETURN_IF_ERROR(
              EnqueueAttention(stream, layer, batch, schedule, index, run, end_of));
        }
        REPRISE_RETURN_IF_ERROR(EnqueueFeedForward(stream, layer, run, end_of));
      }
    }
  }
  if (!weights_.final_norm) return absl::OkStatus();
  REPRISE_RETURN_IF_ERROR(AddAndNorm(stream, {.rows = rows,
                                              .hidden_size = config_.hidden_size,
                                              .stream = hidden_row(0),
                                              .norm = weights_.final_norm->view(),
                                              .outputs = {.stream = hidden_row(0)}}));
  return end_of(Phase::kFeedForward);
}

AttentionArgs Encoder::AttentionOf(int layer, const DeviceBatch& batch,
                                   const DeviceSchedule& schedule, std::size_t index) const {
  const ScheduledMicroBatch& scheduled = schedule.micro_batches[index];
  return {.heads = config_.num_heads,
          .computed = static_cast<int>(config_.plan.computed_heads(layer).size()),
          .head_dim = weights_.padded_head_dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim())),
          .projected = buffer(kProjected),
          .context = buffer(kContext),
          .roles = weights_.layers[layer].attention->roles.as<HeadRole>(),
          .positions = batch.positions,
          .blocks = schedule.blocks + scheduled.first_block,
          .num_blocks = schedule.block_counts + index,
          .max_blocks = scheduled.blocks,
          .first_row = static_cast<std::int32_t>(scheduled.micro.first_row),
          .max_distance = config_.relative_position_max,
          .store = {.probs = probs_.as<std::uint16_t>(),
                    .maxima = maxima_.as<float>(),
                    .sums = sums_.as<float>(),
                    .projections = projections_.as<std::uint16_t>(),
                    .max_rows = limits_.max_tokens}};
}

absl::Status Encoder::EnqueueAttention(const Stream& stream, int layer, const DeviceBatch& batch,
                                       const DeviceSchedule& schedule, std::size_t index, Rows rows,
                                       const PhaseMarker& end_of) const {
  const AttentionSublayer& weights = *weights_.layers[layer].attention;
  REPRISE_RETURN_IF_ERROR(RunDense(stream, weights.input_projection, operand(rows.first),
                                   buffer(kProjected), rows.count));
  REPRISE_RETURN_IF_ERROR(end_of(Phase::kInputProjection));

  const AttentionArgs attention = AttentionOf(layer, batch, schedule, index);
  if (limits_.keeps_projections && attention.computed > 0) {
    REPRISE_RETURN_IF_ERROR(KeepProjections(stream, attention));
  }
  REPRISE_RETURN_IF_ERROR(RunAttention(stream, attention));
  REPRISE_RETURN_IF_ERROR(end_of(Phase::kAttention));

  REPRISE_RETURN_IF_ERROR(
      RunDense(stream, weights.output_projection, buffer(kContext), buffer(kDelta), rows.count));
  const Norm* norm = config_.norm_first ? &weights_.layers[layer].norm : &weights.norm;
  REPRISE_RETURN_IF_ERROR(AddNorm(stream, rows, buffer(kDelta), norm, false));
  return end_of(Phase::kOutputProjection);
}

absl::Status Encoder::EnqueueFeedForward(const Stream& stream, int layer, Rows rows,
                                         const PhaseMarker& end_of) const {
  const Layer& weights = weights_.layers[layer];
  REPRISE_RETURN_IF_ERROR(
      RunDense(stream, weights.up, operand(rows.first), buffer(kIntermediate), rows.count));
  REPRISE_RETURN_IF_ERROR(
      Activate(stream, {.activation = config_.activation,
                        .values = buffer(kIntermediate),
                        .count = rows.count * weights_.padded_intermediate_size}));
  REPRISE_RETURN_IF_ERROR(
      RunDense(stream, weights.down, buffer(kIntermediate), buffer(kDelta), rows.count));
  const bool last = layer + 1 == config_.num_layers;
  const Norm* norm = config_.norm_first ? FirstNormOf(layer + 1) : &weights.norm;
  REPRISE_RETURN_IF_ERROR(AddNorm(stream, rows, buffer(kDelta), norm, last));
  return end_of(Phase::kFeedForward);
}

// Pre-LN: the norm in front of what follows in `layer`; null past the last layer.
const Norm* Encoder::FirstNormOf(int layer) const {
  if (layer == config_.num_layers) return nullptr;
  const Layer& next = weights_.layers[layer];
  return next.attention ? &next.attention->norm : &next.norm;
}

// `last`: of the last layer, whose numbers are the last hidden state.
absl::Status Encoder::AddNorm(const Stream& stream, Rows rows, const std::uint16_t* delta,
                              const Norm* norm, bool last) const {
  AddNormArgs args;
  args.rows = rows.count;
  args.hidden_size = config_.hidden_size;
  args.delta = delta;
  if (norm != nullptr) args.norm = norm->view();
  args.outputs.operand = operand(rows.first);
  if (config_.norm_first) {
    args.stream = hidden_row(rows.first);
  } else {
    args.residual = operand(rows.first);
    args.outputs.stream = last ? hidden_row(rows.first) : nullptr;
  }
  return AddAndNorm(stream, args);
}

std::int64_t Encoder::arena_bytes() const {
  return arena_.bytes() + operand_.bytes() + hidden_.bytes() + workspace_.bytes();
}

std::int64_t Encoder::score_bytes() const {
  return probs_.bytes() + maxima_.bytes() + sums_.bytes() + projections_.bytes();
}

}  // namespace reprise::engine::cuda
