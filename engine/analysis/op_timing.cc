#include "engine/analysis/op_timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device/cpu/execution_scope.h"
#include "engine/memory/buffer.h"
#include "engine/ops/attention_timer.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/linear.h"

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

// All heads of one layer.
OpTime TimeAttention(device::ThreadTeam& team, const ops::AttentionTimer& timer, const char* op,
                     ops::AttentionTimer::Work work, int repetitions) {
  using Work = ops::AttentionTimer::Work;
  const ops::AttentionOptions& attention = timer.options().attention;
  const double ms = MedianMs(repetitions, [&] { timer.Run(team, work); });
  const double entries = static_cast<double>(timer.total_heads()) *
                         static_cast<double>(attention.max_seq_len) *
                         static_cast<double>(attention.max_seq_len);
  const double products = work == Work::kRead ? 1 : 2;
  const bool touches_scores = work == Work::kRead || work == Work::kComputeStored;
  return {.op = op,
          .shape = absl::StrCat(timer.total_heads(), " heads, n = ", attention.max_seq_len,
                                ", width ", attention.head_dim),
          .milliseconds = ms,
          .flops = 2 * products * entries * static_cast<double>(attention.head_dim),
          .memory_bytes =
              touches_scores ? entries * static_cast<double>(SizeOf(attention.score_format)) : 0};
}

absl::StatusOr<ops::AttentionTimer> MakeAttentionTimer(device::ThreadTeam& team,
                                                       const OpTimingModel& model,
                                                       const OpTimingOptions& options) {
  const std::int64_t head_dim = model.config->head_dim();
  return ops::AttentionTimer::Create(
      team, {.attention = {.precision = model.precision,
                           .score_format = model.precision,
                           .head_dim = head_dim,
                           .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                           .max_seq_len = options.seq_len},
             .heads = model.config->num_heads,
             .sequences = options.batch_size});
}

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
  const int total = static_cast<int>(kinds.size()) + 6;
  std::vector<OpTime> times;
  const auto add = [&](OpTime time) {
    times.push_back(std::move(time));
    progress(static_cast<int>(times.size()), total);
  };
  for (const LinearKind& kind : kinds) {
    REPRISE_ASSIGN_OR_RETURN(OpTime time, TimeLinear(team, kind, options));
    add(std::move(time));
  }
  using Work = ops::AttentionTimer::Work;
  REPRISE_ASSIGN_OR_RETURN(const ops::AttentionTimer attention,
                           MakeAttentionTimer(team, model, options));
  constexpr std::pair<const char*, Work> kAttention[] = {
      {"attention", Work::kCompute},
      {"attention, scores kept", Work::kComputeStored},
      {"attention, scores read", Work::kRead},
      {"attention, queries and keys kept", Work::kComputeKept},
      {"attention, scores recomputed", Work::kRecompute}};
  for (const auto& [op, work] : kAttention) {
    add(TimeAttention(team, attention, op, work, options.repetitions));
  }
  REPRISE_ASSIGN_OR_RETURN(OpTime norm, TimeNorm(team, model, options));
  add(std::move(norm));
  return times;
}

}  // namespace reprise::engine::analysis
