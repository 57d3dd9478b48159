#include "engine/cuda/cuda_executor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/cuda/encoder.h"
#include "engine/cuda/head_timing.h"
#include "engine/cuda/phase_events.h"
#include "engine/cuda/rows.h"
#include "engine/cuda/schedule.h"
#include "engine/cuda/staging.h"
#include "engine/cuda/status.h"
#include "engine/cuda/stream.h"
#include "engine/device_health.h"
#include "engine/reuse/strategy_cost.h"

namespace reprise::engine::cuda {
namespace {

using architectures::BertConfig;
using memory::Purpose;
using reuse::Strategy;

// Batches of up to so many tokens are started as graphs: for more the device is busy longer than
// the host needs to start its work.
constexpr std::int64_t kMostGraphRows = 2048;
// Shapes that are remembered, with a graph for each. Further ones run without.
constexpr std::size_t kMostShapes = 128;
// One run in so many of a shape has its phases measured, the second one first: the first loads
// kernels.
constexpr std::int64_t kRunsPerMeasurement = 64;
// Of a micro-batch: with fewer, matrix products are noticeably slower for each row. (H200,
// BERT-base: 0.49 us a row with 4096, 0.41 with 16384.)
constexpr std::int64_t kEfficientRows = 8192;

// Rows that a graph for so many tokens runs: few shapes, few rows too many.
std::int64_t GraphRows(std::int64_t tokens) {
  const std::int64_t step = tokens <= 256 ? 16 : tokens <= 1024 ? 64 : 128;
  return (tokens + step - 1) / step * step;
}

std::int64_t PowerOfTwo(std::int64_t value) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(value)));
}

// Room in the score store, in tiles.
struct StoreRoom {
  std::int64_t probs = 0;
  std::int64_t maxima = 0;
};

StoreRoom RoomFor(const BertConfig& config, const ExecutorOptions& options,
                  const reuse::AllowedStrategies& allowed, std::int64_t longest) {
  const int slots = config.plan.num_score_slots();
  if (slots == 0) return {};
  std::int64_t most = 0;  // that a batch of equal sequences can fill
  for (std::int64_t n = 1; n <= longest; ++n) {
    const std::int64_t sequences = std::max<std::int64_t>(
        1, std::min(options.max_batch_sequences, options.max_batch_tokens / n));
    most = std::max(most, sequences * ScoreTiles(n, slots));
  }
  StoreRoom room;
  if (allowed.stored) room.probs = std::min(most, options.score_cache_bytes / kStoredTileBytes);
  room.maxima = room.probs;
  if (!allowed.recompute) return room;
  room.maxima = std::max({room.maxima, std::min(most, options.score_cache_bytes / kMaximaTileBytes),
                          ScoreTiles(longest, slots)});
  return room;
}

// A kind of batch and what is known of it.
struct RunShape {
  std::int64_t runs = 0;
  PhaseNanoseconds phases{};   // of the run measured last
  std::optional<Graph> graph;  // of the encoder
  bool may_have_graph = true;
};

class CudaExecutor : public ExecutorBackend {
 public:
  CudaExecutor(const Device& device, const BertConfig& config, const Weights& weights,
               const ExecutorOptions& options)
      : device_(device),
        config_(config),
        weights_(weights),
        options_(options),
        allowed_(Allowed(options.strategy)),
        longest_(std::min<std::int64_t>(config.max_position_embeddings, options.max_batch_tokens)),
        max_sequences_(std::min(options.max_batch_sequences, options.max_batch_tokens)),
        max_rows_(std::max(options.max_batch_tokens,
                           GraphRows(std::min(options.max_batch_tokens, kMostGraphRows)))) {}
  ~CudaExecutor() override {
    // Memory must not go while the device uses it.
    static_cast<void>(UseDevice(device_.ordinal));
    if (stream_.get() != nullptr) static_cast<void>(stream_.Wait());
  }

  absl::Status Allocate();
  absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs,
                   ExecutionReport* report) override;

 private:
  // Groups with the same heads get the same strategies.
  struct Schedule {
    reuse::GroupHeads heads;
    std::vector<Strategy> strategies;  // by sequence length
    std::vector<ScheduledMicroBatch> micro_batches;
    DeviceSchedule on_device;
  };

  absl::Status ChooseStrategies();
  absl::Status AllocateOutputs();
  absl::Status CheckScores(const RaggedBatch& batch) const;
  Strategy StrategyFor(const reuse::GroupHeads& heads, std::int64_t seq_len) const;
  StagingShape ShapeOf(const RaggedBatch& batch) const;
  RunShape& Remember(const StagingShape& shape);
  bool MakeSchedules(const RaggedBatch& batch);
  absl::Status EnqueueEncoder(std::int64_t rows, bool measure);
  absl::Status EnqueueGraph(const StagingShape& shape, RunShape* known, ExecutionReport* report);
  absl::Status EnqueueHeads(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);
  absl::Status CopyOut(const DeviceBuffer& from, const PinnedBuffer& to, std::int64_t rows,
                       std::int64_t columns, MatrixView<const float>* view);
  void Report(const RaggedBatch& batch, std::int64_t rows, ExecutionReport* report);
  void ReportGroup(const RaggedBatch& batch, const Schedule& schedule,
                   const reuse::LayerRange& range, ExecutionReport* report) const;
  static void ReportPhases(const PhaseNanoseconds& phases, ExecutionReport* report);

  const Device& device_;
  const BertConfig& config_;
  const Weights& weights_;
  const ExecutorOptions options_;
  const reuse::AllowedStrategies allowed_;
  const std::int64_t longest_;  // sequence
  const std::int64_t max_sequences_;
  const std::int64_t max_rows_;
  Stream stream_;
  StoreRoom room_;
  std::shared_ptr<const reuse::HeadTimesByLength> head_times_;  // null: one strategy, or no reuse
  std::vector<Schedule> schedules_;
  std::vector<int> schedule_of_group_;
  std::vector<const DeviceSchedule*> on_device_of_group_;
  std::unique_ptr<Encoder> encoder_;
  Staging staging_;
  StagingShape largest_;
  DeviceBuffer embedding_, pooled_, logits_;
  PinnedBuffer host_hidden_, host_embedding_, host_pooled_, host_logits_;
  std::map<StagingShape, RunShape> shapes_;
  RunShape other_;  // once kMostShapes are remembered
  PhaseEvents events_;
  std::int64_t score_peak_bytes_ = 0;
};

absl::Status CudaExecutor::Allocate() {
  REPRISE_RETURN_IF_ERROR(UseDevice(device_.ordinal));
  REPRISE_ASSIGN_OR_RETURN(stream_, Stream::Create());
  room_ = RoomFor(config_, options_, allowed_, longest_);
  REPRISE_RETURN_IF_ERROR(ChooseStrategies());
  const auto rebuilds = [](const Schedule& schedule) {
    return std::any_of(schedule.strategies.begin(), schedule.strategies.end(), [](Strategy one) {
      return one == Strategy::kRecompute || one == Strategy::kFused;
    });
  };
  const bool keeps = std::any_of(schedules_.begin(), schedules_.end(), rebuilds);
  REPRISE_ASSIGN_OR_RETURN(encoder_,
                           Encoder::Create(stream_, config_, weights_,
                                           {.max_tokens = max_rows_,
                                            .max_prob_tiles = room_.probs,
                                            .max_max_tiles = room_.maxima,
                                            .keeps_projections = keeps,
                                            .batch_invariant = options_.batch_invariant}));
  largest_ = {.rows = max_rows_,
              .sequences = max_sequences_,
              .blocks = max_rows_ / kBlockQueries + max_sequences_ + 1};
  REPRISE_ASSIGN_OR_RETURN(staging_,
                           Staging::Create(largest_, static_cast<int>(schedules_.size())));
  return AllocateOutputs();
}

absl::Status CudaExecutor::ChooseStrategies() {
  bool reuses = false;
  for (const reuse::LayerRange& group : config_.plan.groups()) {
    const reuse::GroupHeads heads = reuse::CountHeads(config_.plan, group);
    reuses = reuses || heads.reused > 0;
    const auto same = std::find_if(schedules_.begin(), schedules_.end(), [&](const Schedule& one) {
      return one.heads == heads || (one.heads.reused == 0 && heads.reused == 0);
    });
    schedule_of_group_.push_back(static_cast<int>(same - schedules_.begin()));
    if (same == schedules_.end()) schedules_.push_back({heads, {}, {}, {}});
  }
  if (reuses && allowed_.stored + allowed_.recompute + allowed_.fused > 1) {
    REPRISE_ASSIGN_OR_RETURN(head_times_, MeasuredHeadTimes(device_, stream_,
                                                            {.heads = config_.num_heads,
                                                             .head_dim = weights_.padded_head_dim,
                                                             .max_seq_len = longest_,
                                                             .max_prob_tiles = room_.probs}));
  }
  for (Schedule& schedule : schedules_) {
    for (std::int64_t n = 0; n <= longest_; ++n) {
      schedule.strategies.push_back(n == 0 ? Strategy::kNone : StrategyFor(schedule.heads, n));
    }
    schedule.micro_batches.reserve(max_sequences_);
  }
  for (const int index : schedule_of_group_) {
    on_device_of_group_.push_back(&schedules_[index].on_device);
  }
  return absl::OkStatus();
}

// Depends on the sequence's own length alone. kNone also when no allowed strategy is left.
Strategy CudaExecutor::StrategyFor(const reuse::GroupHeads& heads, std::int64_t seq_len) const {
  if (heads.reused == 0) return Strategy::kNone;
  reuse::AllowedStrategies allowed = allowed_;
  const std::int64_t fitting = room_.probs / ScoreTiles(seq_len, config_.plan.num_score_slots());
  // By choice only where batches are not cut into pieces too small for the matrix products.
  const std::int64_t rows = options_.strategy == ReuseStrategy::kStored
                                ? 1
                                : std::min(kEfficientRows, options_.max_batch_tokens - seq_len);
  allowed.stored = allowed.stored && fitting > 0 && fitting * seq_len >= rows;
  if (head_times_ != nullptr) {
    return reuse::CheapestStrategy(heads, reuse::TimesAt(*head_times_, seq_len), allowed);
  }
  if (allowed.stored) return Strategy::kStored;
  if (allowed.recompute) return Strategy::kRecompute;
  return allowed.fused ? Strategy::kFused : Strategy::kNone;
}

absl::Status CudaExecutor::AllocateOutputs() {
  const std::int64_t hidden = config_.hidden_size;
  const std::int64_t row_bytes = hidden * static_cast<std::int64_t>(sizeof(float));
  const auto allocate = [](std::int64_t bytes, DeviceBuffer* device,
                           PinnedBuffer* host) -> absl::Status {
    REPRISE_ASSIGN_OR_RETURN(*device, DeviceBuffer::Allocate(Purpose::kActivations, bytes));
    REPRISE_ASSIGN_OR_RETURN(*host, PinnedBuffer::Allocate(bytes));
    return absl::OkStatus();
  };
  REPRISE_ASSIGN_OR_RETURN(host_hidden_,
                           PinnedBuffer::Allocate(options_.max_batch_tokens * row_bytes));
  if (config_.pooling != architectures::Pooling::kNone) {
    REPRISE_RETURN_IF_ERROR(allocate(max_sequences_ * row_bytes, &embedding_, &host_embedding_));
  }
  if (weights_.pooler) {
    REPRISE_RETURN_IF_ERROR(allocate(max_sequences_ * row_bytes, &pooled_, &host_pooled_));
  }
  if (weights_.classifier) {
    REPRISE_RETURN_IF_ERROR(
        allocate(max_sequences_ * weights_.classifier->bias.bytes(), &logits_, &host_logits_));
  }
  return absl::OkStatus();
}

absl::Status CudaExecutor::CheckScores(const RaggedBatch& batch) const {
  if (allowed_.recompute || allowed_.fused) return absl::OkStatus();
  const int slots = config_.plan.num_score_slots();
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) {
    const std::int64_t tiles = ScoreTiles(batch.seq_len(s), slots);
    if (tiles <= room_.probs) continue;
    return absl::ResourceExhaustedError(absl::StrCat(
        "the scores of a sequence of ", batch.seq_len(s), " tokens take ", tiles * kStoredTileBytes,
        " bytes and the score cache has ", room_.probs * kStoredTileBytes,
        "; raise the score cache or allow another strategy"));
  }
  return absl::OkStatus();
}

StagingShape CudaExecutor::ShapeOf(const RaggedBatch& batch) const {
  std::int64_t blocks = 0;
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) blocks += QueryBlocksOf(batch.seq_len(s));
  const std::int64_t tokens = batch.total_tokens();
  if (tokens > kMostGraphRows) return {tokens, batch.batch_size(), blocks};
  const std::int64_t most_blocks = std::min(PowerOfTwo(blocks), largest_.blocks);
  return {GraphRows(tokens), std::min(most_blocks, max_sequences_), most_blocks};
}

// Larger batches share what is known by their order of magnitude.
RunShape& CudaExecutor::Remember(const StagingShape& shape) {
  const StagingShape key =
      shape.rows <= kMostGraphRows ? shape : StagingShape{PowerOfTwo(shape.rows), 0, 0};
  const auto found = shapes_.find(key);
  if (found != shapes_.end()) return found->second;
  if (shapes_.size() == kMostShapes) return other_;
  return shapes_[key];
}

// Whether every schedule is one micro-batch.
bool CudaExecutor::MakeSchedules(const RaggedBatch& batch) {
  bool whole = true;
  for (std::size_t index = 0; index < schedules_.size(); ++index) {
    Schedule& schedule = schedules_[index];
    MakeSchedule(
        batch, {max_rows_, room_.probs, room_.maxima, config_.plan.num_score_slots()},
        [&](std::int64_t n) { return schedule.strategies[n]; },
        staging_.schedule(static_cast<int>(index)), &schedule.micro_batches);
    schedule.on_device = staging_.device_schedule(static_cast<int>(index), schedule.micro_batches);
    whole = whole && schedule.micro_batches.size() == 1;
  }
  return whole;
}

absl::Status CudaExecutor::Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs,
                               ExecutionReport* report) {
  if (DeviceIsLost()) {
    return absl::InternalError(
        "the GPU has failed before and is lost to this process; start it anew");
  }
  const auto start = std::chrono::steady_clock::now();
  REPRISE_RETURN_IF_ERROR(UseDevice(device_.ordinal));
  REPRISE_RETURN_IF_ERROR(CheckScores(batch));
  const StagingShape shape = ShapeOf(batch);
  staging_.Write(batch, shape);
  const bool whole = MakeSchedules(batch);
  RunShape& known = Remember(shape);
  const bool measure = known.runs % kRunsPerMeasurement == 1;
  // Not before the shape was run once: then kernels are loaded and nothing is allocated.
  const bool as_graph = whole && !measure && known.runs > 0 && known.may_have_graph &&
                        shape.rows <= kMostGraphRows && &known != &other_;
  const std::int64_t rows = as_graph ? shape.rows : batch.total_tokens();
  const auto enqueue = [&]() -> absl::Status {
    REPRISE_RETURN_IF_ERROR(staging_.Copy(stream_));
    if (measure) REPRISE_RETURN_IF_ERROR(events_.Start(stream_));
    if (as_graph) {
      REPRISE_RETURN_IF_ERROR(EnqueueGraph(shape, &known, report));
    } else {
      REPRISE_RETURN_IF_ERROR(EnqueueEncoder(rows, measure));
      report->direct_runs = 1;
    }
    REPRISE_RETURN_IF_ERROR(EnqueueHeads(batch, wanted, outputs));
    return measure ? events_.EndOf(stream_, Phase::kPooling) : absl::OkStatus();
  };
  const absl::Status enqueued = enqueue();
  // Also after an error: what was put into the stream reads memory that the next run writes.
  const absl::Status done = stream_.Wait();
  REPRISE_RETURN_IF_ERROR(enqueued);
  REPRISE_RETURN_IF_ERROR(done);
  ++known.runs;
  if (measure) {
    REPRISE_ASSIGN_OR_RETURN(known.phases, events_.Times());
  }
  Report(batch, rows, report);
  report->compute_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
          .count();
  ReportPhases(known.phases, report);
  return absl::OkStatus();
}

absl::Status CudaExecutor::EnqueueEncoder(std::int64_t rows, bool measure) {
  return encoder_->Enqueue(
      stream_, staging_.device_batch(), rows, on_device_of_group_,
      [&](Phase phase) { return measure ? events_.EndOf(stream_, phase) : absl::OkStatus(); });
}

// Starts the shape's graph, which is made when it is first wanted.
absl::Status CudaExecutor::EnqueueGraph(const StagingShape& shape, RunShape* known,
                                        ExecutionReport* report) {
  if (known->graph) {
    report->graph_replays = 1;
  } else {
    for (Schedule& schedule : schedules_) {
      schedule.micro_batches.front().blocks = static_cast<std::int32_t>(shape.blocks);
    }
    absl::StatusOr<Graph> graph =
        Graph::Capture(stream_, [&] { return EnqueueEncoder(shape.rows, false); });
    if (!graph.ok()) {
      if (DeviceIsLost()) return graph.status();
      known->may_have_graph = false;
      report->direct_runs = 1;
      return EnqueueEncoder(shape.rows, false);
    }
    known->graph = *std::move(graph);
    report->graph_captures = 1;
  }
  return known->graph->Launch(stream_);
}

absl::Status CudaExecutor::CopyOut(const DeviceBuffer& from, const PinnedBuffer& to,
                                   std::int64_t rows, std::int64_t columns,
                                   MatrixView<const float>* view) {
  *view = {to.as<float>(), rows, columns, columns};
  return stream_.Copy(to.data(), from.data(),
                      rows * columns * static_cast<std::int64_t>(sizeof(float)));
}

absl::Status CudaExecutor::EnqueueHeads(const RaggedBatch& batch, const OutputSet& wanted,
                                        Outputs* outputs) {
  const std::int64_t sequences = batch.batch_size();
  const int hidden = config_.hidden_size;
  const std::int32_t* cu_seqlens = staging_.device_batch().cu_seqlens;
  if (wanted.last_hidden_state) {
    REPRISE_RETURN_IF_ERROR(CopyOut(encoder_->hidden(), host_hidden_, batch.total_tokens(), hidden,
                                    &outputs->last_hidden_state));
  }
  if (wanted.sentence_embedding) {
    REPRISE_RETURN_IF_ERROR(Pool(stream_, {.sequences = sequences,
                                           .hidden_size = hidden,
                                           .mean = config_.pooling == architectures::Pooling::kMean,
                                           .normalize = config_.normalize,
                                           .hidden = encoder_->hidden().as<float>(),
                                           .cu_seqlens = cu_seqlens,
                                           .pooled = embedding_.as<float>()}));
    REPRISE_RETURN_IF_ERROR(
        CopyOut(embedding_, host_embedding_, sequences, hidden, &outputs->sentence_embedding));
  }
  if (!wanted.pooler_output && !wanted.logits) return absl::OkStatus();
  REPRISE_RETURN_IF_ERROR(RunSmallDense(stream_, {.rows = sequences,
                                                  .in_features = hidden,
                                                  .out_features = hidden,
                                                  .tanh = true,
                                                  .x = encoder_->hidden().as<float>(),
                                                  .first_rows = cu_seqlens,
                                                  .weight = weights_.pooler->weight.as<float>(),
                                                  .bias = weights_.pooler->bias.as<float>(),
                                                  .y = pooled_.as<float>()}));
  if (wanted.pooler_output) {
    REPRISE_RETURN_IF_ERROR(
        CopyOut(pooled_, host_pooled_, sequences, hidden, &outputs->pooler_output));
  }
  if (!wanted.logits) return absl::OkStatus();
  const int labels =
      static_cast<int>(weights_.classifier->bias.bytes() / static_cast<int>(sizeof(float)));
  REPRISE_RETURN_IF_ERROR(RunSmallDense(stream_, {.rows = sequences,
                                                  .in_features = hidden,
                                                  .out_features = labels,
                                                  .x = pooled_.as<float>(),
                                                  .weight = weights_.classifier->weight.as<float>(),
                                                  .bias = weights_.classifier->bias.as<float>(),
                                                  .y = logits_.as<float>()}));
  return CopyOut(logits_, host_logits_, sequences, labels, &outputs->logits);
}

void CudaExecutor::Report(const RaggedBatch& batch, std::int64_t rows, ExecutionReport* report) {
  for (std::size_t group = 0; group < schedule_of_group_.size(); ++group) {
    ReportGroup(batch, schedules_[schedule_of_group_[group]], config_.plan.groups()[group], report);
  }
  report->padding_rows = (rows - batch.total_tokens()) * config_.num_layers;
  report->arena_bytes = encoder_->arena_bytes() + staging_.bytes() + embedding_.bytes() +
                        pooled_.bytes() + logits_.bytes();
  report->arena_peak_bytes = report->arena_bytes;  // taken whole at creation
  report->score_cache_capacity_bytes = encoder_->score_bytes();
  score_peak_bytes_ = std::max(score_peak_bytes_, report->score_cache_live_bytes);
  report->score_cache_peak_bytes = score_peak_bytes_;
}

void CudaExecutor::ReportGroup(const RaggedBatch& batch, const Schedule& schedule,
                               const reuse::LayerRange& range, ExecutionReport* report) const {
  std::int64_t squares = 0, stored_squares = 0;  // of sequence lengths
  std::int64_t tiled = 0, stored_tiled = 0;      // of the keys that the kernels take for them
  for (std::int64_t s = 0; s < batch.batch_size(); ++s) {
    const std::int64_t n = batch.seq_len(s);
    const std::int64_t keys = TilesOf(n) * kTile;
    const Strategy strategy = schedule.strategies[n];
    squares += n * n;
    tiled += n * keys;
    if (strategy == Strategy::kStored) {
      stored_squares += n * n;
      stored_tiled += n * keys;
    }
    report->stored_groups += strategy == Strategy::kStored;
    report->recompute_groups += strategy == Strategy::kRecompute;
    report->fused_groups += strategy == Strategy::kFused;
  }
  for (int layer = range.first; layer <= range.last; ++layer) {
    if (!config_.plan.has_attention(layer)) continue;
    const auto computed = static_cast<std::int64_t>(config_.plan.computed_heads(layer).size());
    const std::int64_t reused = config_.num_heads - computed;
    ScoreCounts& counts = report->layer_scores[layer];
    counts.computed += computed * squares;
    counts.reused += reused * stored_squares;
    counts.recomputed += reused * (squares - stored_squares);
    counts.padding += computed * (tiled - squares) +
                      reused * ((tiled - stored_tiled) - (squares - stored_squares));
  }
  for (const ScheduledMicroBatch& micro : schedule.micro_batches) {
    report->score_cache_live_bytes =
        std::max(report->score_cache_live_bytes, micro.prob_tiles * kStoredTileBytes);
  }
}

// Shares of the measured run, of this run's time.
void CudaExecutor::ReportPhases(const PhaseNanoseconds& phases, ExecutionReport* report) {
  double sum = 0;
  for (const double nanoseconds : phases) sum += nanoseconds;
  if (sum == 0) return;
  for (int phase = 0; phase < kNumPhases; ++phase) {
    report->phase_ns[phase] =
        static_cast<std::int64_t>(phases[phase] / sum * static_cast<double>(report->compute_ns));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExecutorBackend>> CreateExecutor(const Device& device,
                                                                const BertConfig& config,
                                                                const Weights& weights,
                                                                const ExecutorOptions& options) {
  auto executor = std::make_unique<CudaExecutor>(device, config, weights, options);
  REPRISE_RETURN_IF_ERROR(executor->Allocate());
  return executor;
}

}  // namespace reprise::engine::cuda
