#include "engine/analysis/op_timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/memory/buffer.h"
#include "engine/ops/attention.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/linear.h"
#include "engine/reuse/score_cache.h"

namespace reprise::engine::analysis {
namespace {

using memory::Buffer;
using memory::Purpose;
using std::chrono::duration;
using std::chrono::steady_clock;

// Median milliseconds of a call, after one that is not timed.
template <typename Call>
double MedianMs(int repetitions, Call call) {
  call();
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    const steady_clock::time_point begin = steady_clock::now();
    call();
    times.push_back(duration<double, std::milli>(steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

// `count` normal numbers of standard deviation 1 as elements of `dtype`.
absl::StatusOr<Buffer> RandomNumbers(std::int64_t count, DType dtype, std::uint64_t seed) {
  REPRISE_ASSIGN_OR_RETURN(
      Buffer buffer,
      Buffer::Allocate(Purpose::kScratch, count * static_cast<std::int64_t>(SizeOf(dtype))));
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = normal(generator);
    if (dtype == DType::kBF16) {
      buffer.as<BFloat16>()[i] = BFloat16::FromFloat(value);
    } else {
      buffer.as<float>()[i] = value;
    }
  }
  return buffer;
}

// Dense layers of one kind and shape, one from each model layer that has it.
struct LinearKind {
  std::string op;
  std::vector<const ops::Linear*> layers;
};

bool SameShape(const ops::Linear& a, const ops::Linear& b) {
  return a.options().in_features == b.options().in_features &&
         a.options().out_features == b.options().out_features;
}

std::vector<LinearKind> KindsOf(const architectures::BertWeights& weights) {
  std::vector<LinearKind> kinds;
  const auto add = [&](const char* op, const ops::Linear& linear) {
    for (LinearKind& kind : kinds) {
      if (kind.op == op && SameShape(*kind.layers.front(), linear)) {
        return kind.layers.push_back(&linear);
      }
    }
    kinds.push_back({op, {&linear}});
  };
  for (const layers::EncoderLayer& layer : weights.layers) {
    if (layer.attention) {
      add("input projection", layer.attention->input_projection);
      add("output projection", layer.attention->output_projection);
    }
    add("feed-forward up", layer.feed_forward.up);
    add("feed-forward down", layer.feed_forward.down);
  }
  return kinds;
}

absl::StatusOr<OpTime> TimeLinear(device::ThreadTeam& team, const LinearKind& kind,
                                  const OpTimingOptions& options) {
  const std::int64_t rows = options.batch_size * options.seq_len;
  const ops::Linear& first = *kind.layers.front();
  const ops::PanelLayout in = first.input(rows);
  REPRISE_ASSIGN_OR_RETURN(const Buffer x,
                           RandomNumbers(in.columns * in.capacity_rows, in.dtype, options.seed));
  REPRISE_ASSIGN_OR_RETURN(const Buffer y,
                           Buffer::Allocate(Purpose::kScratch, first.output(rows).bytes()));
  REPRISE_ASSIGN_OR_RETURN(
      const Buffer scratch,
      Buffer::Allocate(Purpose::kScratch, first.scratchpad_bytes() * team.size()));
  const double all_layers = MedianMs(options.repetitions, [&] {
    for (const ops::Linear* linear : kind.layers) {
      linear->Run(team, {x.data(), rows}, {y.data(), rows}, rows, scratch.data());
    }
  });
  const std::int64_t inputs = first.options().in_features;
  const std::int64_t outputs = first.options().out_features;
  return OpTime{.op = kind.op,
                .shape = absl::StrCat(rows, " x ", inputs, " -> ", outputs),
                .milliseconds = all_layers / static_cast<double>(kind.layers.size()),
                .flops = 2.0 * static_cast<double>(rows * inputs * outputs),
                .memory_bytes = static_cast<double>(first.packed_bytes())};
}

// All heads of one layer on random queries, keys and values.
class AttentionBench {
 public:
  static absl::StatusOr<AttentionBench> Create(device::ThreadTeam& team, const OpTimingModel& model,
                                               const OpTimingOptions& options) {
    const DType precision = model.precision;
    const std::int64_t head_dim = model.config->head_dim();
    AttentionBench bench({.precision = precision,
                          .score_format = precision,
                          .head_dim = head_dim,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                          .max_seq_len = options.seq_len},
                         model.config->num_heads, options);
    REPRISE_RETURN_IF_ERROR(bench.Allocate(team));
    return bench;
  }

  OpTime Time(device::ThreadTeam& team, const char* op, bool store, bool reuse) const {
    const double ms = MedianMs(options_.repetitions, [&] {
      team.ParallelFor(options_.batch_size * heads_, [&](std::int64_t task, int worker) {
        Run(task / heads_, static_cast<int>(task % heads_), worker, store, reuse);
      });
    });
    const double entries = static_cast<double>(options_.batch_size * heads_) *
                           static_cast<double>(options_.seq_len) *
                           static_cast<double>(options_.seq_len);
    const double products = reuse ? 1 : 2;
    return {.op = op,
            .shape = absl::StrCat(options_.batch_size * heads_, " heads, n = ", options_.seq_len,
                                  ", width ", kernels_.options().head_dim),
            .milliseconds = ms,
            .flops = 2 * products * entries * static_cast<double>(kernels_.options().head_dim),
            .memory_bytes = store || reuse ? entries * static_cast<double>(
                                                           SizeOf(kernels_.options().score_format))
                                           : 0};
  }

 private:
  AttentionBench(const ops::AttentionOptions& attention, int heads, const OpTimingOptions& options)
      : kernels_(attention), heads_(heads), options_(options) {}

  absl::Status Allocate(device::ThreadTeam& team) {
    const DType precision = kernels_.options().precision;
    const std::int64_t rows = options_.batch_size * options_.seq_len;
    width_ = heads_ * kernels_.options().head_dim;
    REPRISE_ASSIGN_OR_RETURN(projected_,
                             RandomNumbers(rows * 3 * width_, precision, options_.seed));
    REPRISE_ASSIGN_OR_RETURN(
        context_, Buffer::Allocate(Purpose::kScratch,
                                   rows * width_ * static_cast<std::int64_t>(SizeOf(precision))));
    REPRISE_ASSIGN_OR_RETURN(
        scratch_, Buffer::Allocate(Purpose::kScratch, kernels_.scratch_bytes() * team.size()));
    const std::vector<std::int64_t> lengths(options_.batch_size, options_.seq_len);
    REPRISE_ASSIGN_OR_RETURN(
        scores_,
        reuse::ScoreCache::Create(
            {.num_slots = heads_,
             .format = precision,
             .capacity_bytes = options_.batch_size * reuse::ScoreCache::SequenceBytes(
                                                         options_.seq_len, heads_, precision),
             .max_sequences = options_.batch_size}));
    return scores_.LayOut(lengths);
  }

  void Run(std::int64_t sequence, int head, int worker, bool store, bool reuse) const {
    const std::int64_t row = sequence * options_.seq_len;
    ops::AttentionTask task;
    task.seq_len = options_.seq_len;
    task.rows = options_.seq_len;
    task.query = Columns(row, head);
    task.key = Columns(row, heads_ + head);
    task.value = Columns(row, 2 * heads_ + head);
    if (store || reuse) task.scores = scores_.block(head, sequence);
    task.context = context_.data() + (row * width_ + head * kernels_.options().head_dim) * size();
    task.context_stride = width_;
    task.scratch = scratch_.data() + worker * kernels_.scratch_bytes();
    reuse ? kernels_.ReuseHead(task) : kernels_.ComputeHead(task);
  }

  std::int64_t size() const {
    return static_cast<std::int64_t>(SizeOf(kernels_.options().precision));
  }
  ops::HeadView Columns(std::int64_t row, int head) const {
    return {projected_.data() + (row * 3 * width_ + head * kernels_.options().head_dim) * size(),
            3 * width_};
  }

  ops::Attention kernels_;
  int heads_;
  OpTimingOptions options_;
  std::int64_t width_ = 0;
  Buffer projected_;  // [rows, queries | keys | values]
  Buffer context_;
  Buffer scratch_;
  reuse::ScoreCache scores_;
};

absl::StatusOr<OpTime> TimeNorm(device::ThreadTeam& team, const OpTimingModel& model,
                                const OpTimingOptions& options) {
  const std::int64_t rows = options.batch_size * options.seq_len;
  const std::int64_t columns = model.config->hidden_size;
  const DType precision = model.precision;
  REPRISE_ASSIGN_OR_RETURN(const Buffer hidden,
                           RandomNumbers(rows * columns, DType::kF32, options.seed));
  REPRISE_ASSIGN_OR_RETURN(const Buffer delta,
                           RandomNumbers(rows * columns, DType::kF32, options.seed + 1));
  const auto element = static_cast<std::int64_t>(SizeOf(precision));
  REPRISE_ASSIGN_OR_RETURN(const Buffer operand,
                           Buffer::Allocate(Purpose::kScratch, rows * columns * element));
  const ops::LayerNormWeights norm = model.weights->embedding_norm.view();
  const double ms = MedianMs(options.repetitions, [&] {
    ops::AddLayerNorm(team, {.hidden = {hidden.as<float>(), rows, columns, columns},
                             .delta = delta.as<float>(),
                             .delta_layout = ops::PanelLayout::Dense(columns, rows, DType::kF32),
                             .norm = &norm,
                             .order = ops::NormOrder::kPost,
                             .operand = operand.data(),
                             .operand_dtype = precision});
  });
  // Stream and addend are read, stream and operand written.
  return OpTime{.op = "addition and norm",
                .shape = absl::StrCat(rows, " x ", columns),
                .milliseconds = ms,
                .memory_bytes = static_cast<double>(rows * columns * (3 * 4 + element))};
}

}  // namespace

absl::StatusOr<std::vector<OpTime>> TimeOps(
    device::ThreadTeam& team, const OpTimingModel& model, const OpTimingOptions& options,
    const std::function<void(int done, int total)>& progress) {
  const device::ExecutionScope scope;
  const std::vector<LinearKind> kinds = KindsOf(*model.weights);
  const int total = static_cast<int>(kinds.size()) + 4;
  std::vector<OpTime> times;
  const auto add = [&](OpTime time) {
    times.push_back(std::move(time));
    progress(static_cast<int>(times.size()), total);
  };
  for (const LinearKind& kind : kinds) {
    REPRISE_ASSIGN_OR_RETURN(OpTime time, TimeLinear(team, kind, options));
    add(std::move(time));
  }
  REPRISE_ASSIGN_OR_RETURN(const AttentionBench attention,
                           AttentionBench::Create(team, model, options));
  add(attention.Time(team, "attention", /*store=*/false, /*reuse=*/false));
  add(attention.Time(team, "attention, scores kept", /*store=*/true, /*reuse=*/false));
  add(attention.Time(team, "attention, scores reused", /*store=*/false, /*reuse=*/true));
  REPRISE_ASSIGN_OR_RETURN(OpTime norm, TimeNorm(team, model, options));
  add(std::move(norm));
  return times;
}

}  // namespace reprise::engine::analysis
