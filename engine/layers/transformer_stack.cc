#include "engine/layers/transformer_stack.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/layers/attention_layer.h"
#include "engine/layers/head_calibration.h"
#include "engine/memory/arena_plan.h"

namespace reprise::engine::layers {
namespace {

using reuse::Strategy;

// Rows that a micro-batch is filled up to: enough for full speed of the matrix products, few enough
// that its activations stay in L2/L3.
constexpr std::int64_t kMicroBatchRows = 512;
// Scores that a micro-batch is filled up to, so that a reuse group reads them from L3 and not from
// memory.
constexpr std::int64_t kMicroBatchScoreBytes = 16 << 20;

// The buffers of one micro-batch, and the steps of a layer in which they are live.
enum Step { kProject, kAttend, kOutput, kFirstNorm, kUp, kDown, kSecondNorm };
enum BufferIndex {
  kProjected,
  kContext,
  kAttentionDelta,
  kIntermediate,
  kFeedForwardDelta,
  kNumBuffers
};

std::int64_t LargestScoreBytes(int slots, DType format, std::int64_t max_seq_len) {
  std::int64_t largest = reuse::ScoreCache::SequenceBytes(max_seq_len, slots, format);
  // Short sequences are rounded up the most, so a micro-batch full of them may be the largest.
  for (std::int64_t n = 1; n <= std::min(max_seq_len, kMicroBatchRows); ++n) {
    const std::int64_t bytes = reuse::ScoreCache::SequenceBytes(n, slots, format);
    largest = std::max(
        largest, std::min(kMicroBatchRows / n * bytes, std::max(kMicroBatchScoreBytes, bytes)));
  }
  return largest;
}

}  // namespace

struct TransformerStack::State {
  StackModel model;
  StackOptions options;
  device::ThreadTeam* team = nullptr;
  std::int64_t micro_rows = 0;  // most rows of a micro-batch
  std::optional<ops::Attention> kernels;
  reuse::ScoreCache scores;
  std::optional<reuse::ProjectionCache> projections;
  std::vector<const std::vector<float>*> relative_bias;
  std::vector<reuse::GroupHeads> group_heads;  // of each of the plan's groups
  // What strategies are chosen by; null when one alone is allowed, or nothing is reused.
  std::shared_ptr<const reuse::HeadTimesByLength> head_times;

  memory::Buffer hidden;
  memory::Buffer operand;  // empty when the operand is the residual stream itself
  memory::Buffer arena;
  std::array<std::int64_t, kNumBuffers> offsets = {};
  memory::Buffer linear_scratch;
  memory::Buffer attention_scratch;

  std::vector<Strategy> strategies;       // of the micro-batch; capacity fixed
  std::vector<std::int64_t> stored_lens;  // what the score cache lays out; capacity fixed

  absl::Status Allocate();
  absl::Status AllocateScores();
  std::int64_t StoredBytes(std::int64_t seq_len) const;
  bool Fits(std::int64_t seq_len) const { return StoredBytes(seq_len) <= scores.capacity_bytes(); }
  Strategy StrategyFor(std::size_t group, std::int64_t seq_len) const;
  bool SomeRebuild() const;
  void RunGroup(const RaggedBatch& batch, std::size_t group, PhaseClock& clock,
                ExecutionReport* report);
  void ChooseStrategies(const RaggedBatch& batch, const MicroBatch& micro, std::size_t group,
                        ExecutionReport* report);
  void RunLayer(int layer, const RaggedBatch& batch, const MicroBatch& micro, PhaseClock& clock,
                ExecutionReport* report);
  void RunAttentionSublayer(int layer, const RaggedBatch& batch, const MicroBatch& micro,
                            PhaseClock& clock, ExecutionReport* report);
  void RunFeedForward(int layer, const MicroBatch& micro, PhaseClock& clock);
  void AddNorm(const MicroBatch& micro, const std::byte* delta, const ops::PanelLayout& layout,
               const LayerNorm* norm);
  const LayerNorm* FirstNormOf(int layer) const;

  std::byte* buffer(BufferIndex index) const { return arena.data() + offsets[index]; }
  bool operand_is_hidden() const { return operand.bytes() == 0; }
  std::byte* operand_row(std::int64_t row) const {
    const memory::Buffer& memory = operand_is_hidden() ? hidden : operand;
    return memory.data() +
           row * model.hidden_size * static_cast<std::int64_t>(SizeOf(model.precision));
  }
  MatrixView<float> hidden_rows(std::int64_t first, std::int64_t rows) const {
    return {hidden.as<float>() + first * model.hidden_size, rows, model.hidden_size,
            model.hidden_size};
  }
};

absl::StatusOr<std::unique_ptr<TransformerStack>> TransformerStack::Create(
    const StackModel& model, const StackOptions& options, device::ThreadTeam& team) {
  auto state = std::make_unique<State>();
  state->model = model;
  state->options = options;
  state->team = &team;
  REPRISE_RETURN_IF_ERROR(state->Allocate());
  return std::unique_ptr<TransformerStack>(new TransformerStack(std::move(state)));
}

TransformerStack::TransformerStack(std::unique_ptr<State> state) : state_(std::move(state)) {}
TransformerStack::~TransformerStack() = default;

absl::Status TransformerStack::State::Allocate() {
  const reuse::ReusePlan& plan = *model.plan;
  const std::int64_t head_dim = model.hidden_size / plan.num_heads();
  micro_rows = std::min(options.max_tokens, std::max(kMicroBatchRows, options.max_seq_len));
  kernels.emplace(ops::AttentionOptions{.precision = model.precision,
                                        .score_format = options.score_format,
                                        .head_dim = head_dim,
                                        .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                        .max_seq_len = options.max_seq_len});

  REPRISE_RETURN_IF_ERROR(AllocateScores());

  std::vector<memory::Lifetime> lifetimes(kNumBuffers);
  lifetimes[kContext] = {
      ops::PanelLayout::Dense(model.hidden_size, micro_rows, model.precision).bytes(), kAttend,
      kOutput};
  std::int64_t scratch = 0;
  for (const EncoderLayer& layer : model.layers) {
    const auto grow = [&](BufferIndex index, const ops::Linear& linear, Step first, Step last) {
      lifetimes[index] = {std::max(lifetimes[index].bytes, linear.output(micro_rows).bytes()),
                          first, last};
      scratch = std::max(scratch, linear.scratchpad_bytes());
    };
    if (layer.attention) {
      grow(kProjected, layer.attention->input_projection, kProject, kAttend);
      grow(kAttentionDelta, layer.attention->output_projection, kOutput, kFirstNorm);
      relative_bias.push_back(&layer.attention->relative_bias);
    } else {
      relative_bias.push_back(nullptr);
    }
    grow(kIntermediate, layer.feed_forward.up, kUp, kDown);
    grow(kFeedForwardDelta, layer.feed_forward.down, kDown, kSecondNorm);
  }
  const memory::ArenaPlan plan_of_arena = memory::PlanArena(lifetimes);
  std::copy(plan_of_arena.offsets.begin(), plan_of_arena.offsets.end(), offsets.begin());
  using memory::Purpose;
  REPRISE_ASSIGN_OR_RETURN(arena,
                           memory::Buffer::Allocate(Purpose::kActivations, plan_of_arena.bytes));

  // A matrix product may read whole row blocks, past the last token.
  const std::int64_t rows = options.max_tokens + ops::kRowGranularity;
  REPRISE_ASSIGN_OR_RETURN(
      hidden, memory::Buffer::Allocate(
                  Purpose::kActivations,
                  ops::PanelLayout::Dense(model.hidden_size, rows, DType::kF32).bytes()));
  if (model.norm_first || model.precision != DType::kF32) {
    REPRISE_ASSIGN_OR_RETURN(
        operand, memory::Buffer::Allocate(
                     Purpose::kActivations,
                     ops::PanelLayout::Dense(model.hidden_size, rows, model.precision).bytes()));
  }
  REPRISE_ASSIGN_OR_RETURN(linear_scratch,
                           memory::Buffer::Allocate(Purpose::kScratch, scratch * team->size()));
  REPRISE_ASSIGN_OR_RETURN(
      attention_scratch,
      memory::Buffer::Allocate(Purpose::kScratch, kernels->scratch_bytes() * team->size()));
  strategies.reserve(options.max_sequences);
  stored_lens.reserve(options.max_sequences);
  return absl::OkStatus();
}

// What reuse needs: the score cache, the cache of queries and keys, the times to choose by.
absl::Status TransformerStack::State::AllocateScores() {
  const reuse::ReusePlan& plan = *model.plan;
  for (const reuse::LayerRange& group : plan.groups()) {
    group_heads.push_back(reuse::CountHeads(plan, group));
  }
  const int slots = plan.num_score_slots();
  if (slots == 0) return absl::OkStatus();
  if (options.allowed.stored) {
    const std::int64_t wanted = LargestScoreBytes(slots, options.score_format, options.max_seq_len);
    REPRISE_ASSIGN_OR_RETURN(
        scores,
        reuse::ScoreCache::Create({.num_slots = slots,
                                   .format = options.score_format,
                                   .capacity_bytes = std::min(wanted, options.score_cache_bytes),
                                   .max_sequences = options.max_sequences}));
  }
  if (options.allowed.stored + options.allowed.recompute + options.allowed.fused > 1) {
    REPRISE_ASSIGN_OR_RETURN(
        head_times, CalibratedHeadTimes(*team, kernels->options(), plan.num_heads(),
                                        {options.max_seq_len, std::max(scores.capacity_bytes(),
                                                                       kMicroBatchScoreBytes)}));
  }
  if (!SomeRebuild()) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(projections,
                           reuse::ProjectionCache::Create({.num_slots = slots,
                                                           .max_rows = micro_rows,
                                                           .head_dim = kernels->options().head_dim,
                                                           .precision = model.precision}));
  return absl::OkStatus();
}

MatrixView<float> TransformerStack::hidden(std::int64_t rows) const {
  return state_->hidden_rows(0, rows);
}

std::int64_t TransformerStack::arena_bytes() const {
  const State& s = *state_;
  return s.arena.bytes() + s.hidden.bytes() + s.operand.bytes() + s.linear_scratch.bytes() +
         s.attention_scratch.bytes() + (s.projections ? s.projections->bytes() : 0);
}

const reuse::ScoreCache& TransformerStack::score_cache() const { return state_->scores; }

std::int64_t TransformerStack::State::StoredBytes(std::int64_t seq_len) const {
  return reuse::ScoreCache::SequenceBytes(seq_len, model.plan->num_score_slots(),
                                          options.score_format);
}

// Depends on the sequence's own length alone, so that its numbers do not depend on its company.
// kNone also when no allowed strategy is left.
Strategy TransformerStack::State::StrategyFor(std::size_t group, std::int64_t seq_len) const {
  const reuse::GroupHeads& heads = group_heads[group];
  if (heads.reused == 0) return Strategy::kNone;
  reuse::AllowedStrategies allowed = options.allowed;
  allowed.stored = allowed.stored && Fits(seq_len);
  if (head_times != nullptr) {
    return reuse::CheapestStrategy(heads, reuse::TimesAt(*head_times, seq_len), allowed);
  }
  if (allowed.stored) return Strategy::kStored;
  if (allowed.recompute) return Strategy::kRecompute;
  return allowed.fused ? Strategy::kFused : Strategy::kNone;
}

// Whether some sequence may have its scores rebuilt.
bool TransformerStack::State::SomeRebuild() const {
  for (std::size_t group = 0; group < group_heads.size(); ++group) {
    for (std::int64_t n = 1; n <= options.max_seq_len; ++n) {
      const Strategy strategy = StrategyFor(group, n);
      if (strategy == Strategy::kRecompute || strategy == Strategy::kFused) return true;
    }
  }
  return false;
}

absl::Status TransformerStack::CheckScores(const RaggedBatch& batch) const {
  const State& s = *state_;
  const reuse::AllowedStrategies& allowed = s.options.allowed;
  if (allowed.recompute || allowed.fused || s.model.plan->num_score_slots() == 0) {
    return absl::OkStatus();
  }
  for (std::int64_t sequence = 0; sequence < batch.batch_size(); ++sequence) {
    const std::int64_t n = batch.seq_len(sequence);
    if (s.Fits(n)) continue;
    return absl::ResourceExhaustedError(
        absl::StrCat("the scores of a sequence of ", n, " tokens take ", s.StoredBytes(n),
                     " bytes and the score cache has ", s.scores.capacity_bytes(),
                     "; raise the score cache or allow another strategy"));
  }
  return absl::OkStatus();
}

void TransformerStack::Run(const RaggedBatch& batch, const LayerNorm& embedding_norm,
                           PhaseClock& clock, ExecutionReport* report) {
  State& s = *state_;
  const std::int64_t rows = batch.total_tokens();
  // The embeddings' norm is a post-norm whatever the blocks are.
  const ops::LayerNormWeights norm = embedding_norm.view();
  const bool operand_too = !s.model.norm_first && !s.operand_is_hidden();
  ops::AddLayerNorm(*s.team, {.hidden = hidden(rows),
                              .norm = &norm,
                              .order = ops::NormOrder::kPost,
                              .operand = operand_too ? s.operand_row(0) : nullptr,
                              .operand_dtype = s.model.precision});
  if (s.model.norm_first) {
    s.AddNorm({0, batch.batch_size(), 0, rows}, nullptr, {}, s.FirstNormOf(0));
  }
  clock.EndOf(Phase::kEmbedding);

  for (std::size_t group = 0; group < s.group_heads.size(); ++group) {
    s.RunGroup(batch, group, clock, report);
  }
  if (s.model.final_norm != nullptr) {
    const ops::LayerNormWeights final_norm = s.model.final_norm->view();
    ops::AddLayerNorm(
        *s.team, {.hidden = hidden(rows), .norm = &final_norm, .order = ops::NormOrder::kPost});
    clock.EndOf(Phase::kFeedForward);
  }
  report->score_cache_peak_bytes = s.scores.peak_bytes();
}

void TransformerStack::State::RunGroup(const RaggedBatch& batch, std::size_t group,
                                       PhaseClock& clock, ExecutionReport* report) {
  const reuse::LayerRange& range = model.plan->groups()[group];
  const auto score_bytes = [&](std::int64_t seq_len) {
    return StrategyFor(group, seq_len) == Strategy::kStored ? StoredBytes(seq_len)
                                                            : std::int64_t{0};
  };
  const MicroBatchLimits limits = {kMicroBatchRows,
                                   std::min(kMicroBatchScoreBytes, scores.capacity_bytes())};
  for (std::int64_t sequence = 0; sequence < batch.batch_size();) {
    const MicroBatch micro = TakeMicroBatch(batch, sequence, limits, score_bytes);
    ChooseStrategies(batch, micro, group, report);
    for (int layer = range.first; layer <= range.last; ++layer) {
      RunLayer(layer, batch, micro, clock, report);
    }
    sequence += micro.sequences;
  }
}

void TransformerStack::State::ChooseStrategies(const RaggedBatch& batch, const MicroBatch& micro,
                                               std::size_t group, ExecutionReport* report) {
  strategies.clear();
  stored_lens.clear();
  for (std::int64_t s = 0; s < micro.sequences; ++s) {
    const std::int64_t n = batch.seq_len(micro.first_sequence + s);
    const Strategy strategy = StrategyFor(group, n);
    strategies.push_back(strategy);
    stored_lens.push_back(strategy == Strategy::kStored ? n : 0);
    report->stored_groups += strategy == Strategy::kStored;
    report->recompute_groups += strategy == Strategy::kRecompute;
    report->fused_groups += strategy == Strategy::kFused;
  }
  if (group_heads[group].reused == 0 || !options.allowed.stored) return;
  const absl::Status laid_out = scores.LayOut(stored_lens);
  REPRISE_CHECK(laid_out.ok());  // the micro-batch was cut to fit
  report->score_cache_live_bytes = std::max(report->score_cache_live_bytes, scores.live_bytes());
}

void TransformerStack::State::RunLayer(int layer, const RaggedBatch& batch, const MicroBatch& micro,
                                       PhaseClock& clock, ExecutionReport* report) {
  if (model.layers[layer].attention) RunAttentionSublayer(layer, batch, micro, clock, report);
  RunFeedForward(layer, micro, clock);
  report->padding_rows += ops::RoundedRows(micro.rows) - micro.rows;
}

void TransformerStack::State::RunAttentionSublayer(int layer, const RaggedBatch& batch,
                                                   const MicroBatch& micro, PhaseClock& clock,
                                                   ExecutionReport* report) {
  const AttentionWeights& weights = *model.layers[layer].attention;
  weights.input_projection.Run(*team, {operand_row(micro.first_row), options.max_tokens},
                               {buffer(kProjected), micro_rows}, micro.rows, linear_scratch.data());
  clock.EndOf(Phase::kInputProjection);

  const AttentionContext context = {.plan = model.plan,
                                    .kernels = &*kernels,
                                    .relative_bias = relative_bias,
                                    .relative_max_distance = model.relative_max_distance,
                                    .scores = &scores,
                                    .projections = projections ? &*projections : nullptr,
                                    .scratch = attention_scratch.data()};
  RunAttention(*team, context,
               {.layer = layer,
                .batch = &batch,
                .micro = micro,
                .strategies = strategies,
                .projected = buffer(kProjected),
                .projected_layout = weights.input_projection.output(micro_rows),
                .context = buffer(kContext)},
               &report->layer_scores[layer]);
  clock.EndOf(Phase::kAttention);

  weights.output_projection.Run(*team, {buffer(kContext), micro_rows},
                                {buffer(kAttentionDelta), micro_rows}, micro.rows,
                                linear_scratch.data());
  AddNorm(micro, buffer(kAttentionDelta), weights.output_projection.output(micro_rows),
          model.norm_first ? &model.layers[layer].feed_forward.norm : &weights.norm);
  clock.EndOf(Phase::kOutputProjection);
}

void TransformerStack::State::RunFeedForward(int layer, const MicroBatch& micro,
                                             PhaseClock& clock) {
  const FeedForwardWeights& weights = model.layers[layer].feed_forward;
  weights.up.Run(*team, {operand_row(micro.first_row), options.max_tokens},
                 {buffer(kIntermediate), micro_rows}, micro.rows, linear_scratch.data());
  weights.down.Run(*team, {buffer(kIntermediate), micro_rows},
                   {buffer(kFeedForwardDelta), micro_rows}, micro.rows, linear_scratch.data());
  AddNorm(micro, buffer(kFeedForwardDelta), weights.down.output(micro_rows),
          model.norm_first ? FirstNormOf(layer + 1) : &weights.norm);
  clock.EndOf(Phase::kFeedForward);
}

// Pre-LN: the norm in front of what follows in `layer`; null past the last layer.
const LayerNorm* TransformerStack::State::FirstNormOf(int layer) const {
  if (layer == static_cast<int>(model.layers.size())) return nullptr;
  const EncoderLayer& next = model.layers[layer];
  return next.attention ? &next.attention->norm : &next.feed_forward.norm;
}

void TransformerStack::State::AddNorm(const MicroBatch& micro, const std::byte* delta,
                                      const ops::PanelLayout& layout, const LayerNorm* norm) {
  ops::LayerNormWeights weights;
  if (norm != nullptr) weights = norm->view();
  ops::AddLayerNorm(*team,
                    {.hidden = hidden_rows(micro.first_row, micro.rows),
                     .delta = reinterpret_cast<const float*>(delta),
                     .delta_layout = layout,
                     .norm = norm != nullptr ? &weights : nullptr,
                     .order = model.norm_first ? ops::NormOrder::kPre : ops::NormOrder::kPost,
                     .operand = operand_row(micro.first_row),
                     .operand_dtype = model.precision});
}

}  // namespace reprise::engine::layers
