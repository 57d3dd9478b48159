#include "engine/cuda/head_timing.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/check.h"
#include "engine/cuda/attention.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/schedule.h"

namespace reprise::engine::cuda {
namespace {

using reuse::HeadTimes;
using reuse::HeadTimesByLength;
using reuse::Strategy;

constexpr std::int64_t kLengths[] = {64, 128, 256, 512, 1024, 2048, 4096};
constexpr std::int64_t kBlocksPerMultiprocessor = 8;  // of a measured batch, at least
constexpr int kRounds = 5;

// A layer whose sequences all have one length, and all heads do the same.
class UniformLayer {
 public:
  static absl::StatusOr<UniformLayer> Create(const Device& device, const HeadTimingOptions& options,
                                             std::int64_t seq_len) {
    const std::int64_t blocks = kBlocksPerMultiprocessor * device.multiprocessors;
    UniformLayer layer(options, seq_len, blocks / (QueryBlocksOf(seq_len) * options.heads));
    REPRISE_RETURN_IF_ERROR(layer.Allocate());
    return layer;
  }

  // Milliseconds of one head of one sequence, in the best of some rounds for each kind of work.
  absl::StatusOr<HeadTimes> Measure(const Stream& stream) const {
    struct Work {
      double HeadTimes::*part;
      const Scheduled& scheduled;
      const DeviceBuffer& roles;
      int computed;
    };
    const Work works[] = {
        {&HeadTimes::compute, stored_, computing_, options_.heads},
        {&HeadTimes::compute_stored, stored_, keeping_, options_.heads},
        {&HeadTimes::compute_kept, recomputed_, keeping_, options_.heads},
        {&HeadTimes::read, stored_, reusing_, 0},
        {&HeadTimes::recompute, recomputed_, reusing_, 0},
    };
    REPRISE_ASSIGN_OR_RETURN(const Event begin, Event::Create());
    REPRISE_ASSIGN_OR_RETURN(const Event end, Event::Create());
    HeadTimes times{.seq_len = seq_len_};
    for (const Work& work : works) times.*work.part = std::numeric_limits<double>::infinity();
    for (int round = 0; round <= kRounds; ++round) {
      for (const Work& work : works) {
        REPRISE_RETURN_IF_ERROR(begin.Record(stream));
        REPRISE_RETURN_IF_ERROR(Run(stream, work.scheduled, work.roles, work.computed));
        REPRISE_RETURN_IF_ERROR(end.Record(stream));
        REPRISE_RETURN_IF_ERROR(stream.Wait());
        REPRISE_ASSIGN_OR_RETURN(const double nanoseconds, end.NanosecondsSince(begin));
        if (round == 0) continue;  // kernels are loaded when they are first started
        times.*work.part =
            std::min(times.*work.part,
                     std::max(1.0, nanoseconds / static_cast<double>(sequences_ * options_.heads)));
      }
    }
    return times;
  }

 private:
  struct Scheduled {
    DeviceBuffer blocks, block_counts;
    std::int32_t num_blocks = 0;
  };

  UniformLayer(const HeadTimingOptions& options, std::int64_t seq_len, std::int64_t wanted)
      : options_(options),
        seq_len_(seq_len),
        sequences_(std::max<std::int64_t>(
            1, std::min(wanted, options.max_prob_tiles / ScoreTiles(seq_len, options.heads)))) {}

  absl::Status Allocate() {
    using memory::Purpose;
    const std::int64_t rows = sequences_ * seq_len_;
    const std::int64_t width = std::int64_t{options_.heads} * options_.head_dim;
    const std::int64_t tiles = sequences_ * ScoreTiles(seq_len_, options_.heads);
    const auto allocate = [](std::int64_t bytes) {
      return DeviceBuffer::Allocate(Purpose::kScratch, bytes);
    };
    REPRISE_ASSIGN_OR_RETURN(projected_, allocate(rows * 3 * width * 2));
    REPRISE_ASSIGN_OR_RETURN(context_, allocate(rows * width * 2));
    REPRISE_ASSIGN_OR_RETURN(probs_, allocate(tiles * kTileScores * 2));
    REPRISE_ASSIGN_OR_RETURN(maxima_, allocate(tiles * kTile * 4));
    REPRISE_ASSIGN_OR_RETURN(sums_, allocate(options_.heads * rows * 4));
    REPRISE_ASSIGN_OR_RETURN(projections_, allocate(2 * rows * width * 2));
    for (std::int64_t s = 0; s <= sequences_; ++s) {
      cu_seqlens_.push_back(static_cast<std::int32_t>(s * seq_len_));
    }
    REPRISE_ASSIGN_OR_RETURN(stored_, Schedule(Strategy::kStored));
    REPRISE_ASSIGN_OR_RETURN(recomputed_, Schedule(Strategy::kRecompute));
    std::vector<HeadRole> computing(options_.heads), keeping(options_.heads),
        reusing(options_.heads);
    for (int head = 0; head < options_.heads; ++head) {
      computing[head].computed = keeping[head].computed = head;
      keeping[head].slot = reusing[head].slot = head;
    }
    REPRISE_ASSIGN_OR_RETURN(computing_,
                             DeviceBuffer::Upload(memory::Purpose::kScratch, computing));
    REPRISE_ASSIGN_OR_RETURN(keeping_, DeviceBuffer::Upload(memory::Purpose::kScratch, keeping));
    REPRISE_ASSIGN_OR_RETURN(reusing_, DeviceBuffer::Upload(memory::Purpose::kScratch, reusing));
    return absl::OkStatus();
  }

  absl::StatusOr<Scheduled> Schedule(Strategy strategy) const {
    const std::size_t sequences = static_cast<std::size_t>(sequences_);
    std::vector<std::int32_t> block_counts(sequences);
    std::vector<QueryBlock> blocks(sequences * QueryBlocksOf(seq_len_));
    std::vector<ScheduledMicroBatch> micro_batches;
    const std::int64_t unlimited = std::numeric_limits<std::int64_t>::max() / 2;
    MakeSchedule(
        {cu_seqlens_, {}, {}, {}}, {unlimited, unlimited, unlimited, options_.heads},
        [&](std::int64_t) { return strategy; }, {blocks, block_counts}, &micro_batches);
    Scheduled scheduled;
    scheduled.num_blocks = micro_batches.front().blocks;
    REPRISE_ASSIGN_OR_RETURN(scheduled.blocks,
                             DeviceBuffer::Upload(memory::Purpose::kScratch, blocks));
    REPRISE_ASSIGN_OR_RETURN(scheduled.block_counts,
                             DeviceBuffer::Upload(memory::Purpose::kScratch, block_counts));
    return scheduled;
  }

  absl::Status Run(const Stream& stream, const Scheduled& scheduled, const DeviceBuffer& roles,
                   int computed) const {
    const AttentionArgs args = {.heads = options_.heads,
                                .computed = computed,
                                .head_dim = options_.head_dim,
                                .projected = projected_.as<std::uint16_t>(),
                                .context = context_.as<std::uint16_t>(),
                                .roles = roles.as<HeadRole>(),
                                .blocks = scheduled.blocks.as<QueryBlock>(),
                                .num_blocks = scheduled.block_counts.as<std::int32_t>(),
                                .max_blocks = scheduled.num_blocks,
                                .store = {.probs = probs_.as<std::uint16_t>(),
                                          .maxima = maxima_.as<float>(),
                                          .sums = sums_.as<float>(),
                                          .projections = projections_.as<std::uint16_t>(),
                                          .max_rows = sequences_ * seq_len_}};
    if (&scheduled == &recomputed_ && computed > 0) {
      REPRISE_RETURN_IF_ERROR(KeepProjections(stream, args));
    }
    return RunAttention(stream, args);
  }

  HeadTimingOptions options_;
  std::int64_t seq_len_;
  std::int64_t sequences_;
  std::vector<std::int32_t> cu_seqlens_;
  DeviceBuffer projected_, context_, probs_, maxima_, sums_, projections_;
  Scheduled stored_, recomputed_;
  DeviceBuffer computing_, keeping_, reusing_;
};

// What was measured in this process.
struct Registry {
  using Kind = std::tuple<int, int, int>;  // device, heads, head_dim
  std::mutex mutex;
  std::map<Kind, std::shared_ptr<const HeadTimesByLength>> known;

  static Registry& Process() {
    static Registry registry;
    return registry;
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const HeadTimesByLength>> MeasuredHeadTimes(
    const Device& device, const Stream& stream, const HeadTimingOptions& options) {
  std::vector<std::int64_t> lengths;
  for (const std::int64_t length : kLengths) {
    if (!lengths.empty() && (length > options.max_seq_len ||
                             ScoreTiles(length, options.heads) > options.max_prob_tiles)) {
      break;
    }
    lengths.push_back(length);
  }
  Registry& registry = Registry::Process();
  const std::lock_guard lock(registry.mutex);
  auto& known = registry.known[{device.ordinal, options.heads, options.head_dim}];
  if (known != nullptr && known->back().seq_len >= lengths.back()) return known;
  auto measured = std::make_shared<HeadTimesByLength>();
  for (const std::int64_t length : lengths) {
    REPRISE_ASSIGN_OR_RETURN(const UniformLayer layer,
                             UniformLayer::Create(device, options, length));
    REPRISE_ASSIGN_OR_RETURN(const HeadTimes times, layer.Measure(stream));
    measured->push_back(times);
  }
  known = std::move(measured);
  return known;
}

}  // namespace reprise::engine::cuda
