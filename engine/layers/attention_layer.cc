#include "engine/layers/attention_layer.h"

#include <algorithm>

#include "engine/check.h"
#include "engine/memory/buffer.h"
#include "engine/ops/kept_projections.h"

namespace reprise::engine::layers {
namespace {

using reuse::Strategy;

// Query rows of one task when there are too few heads to occupy the team; a multiple of the
// kernels' row block.
constexpr std::int64_t kChunkRows = 192;

class LayerRunner {
 public:
  LayerRunner(const AttentionContext& context, const AttentionInput& input)
      : context_(context),
        input_(input),
        plan_(*context.plan),
        computed_(context.plan->computed_heads(input.layer)),
        options_(context.kernels->options()),
        hidden_size_(plan_.num_heads() * options_.head_dim) {}

  void RunTask(std::int64_t sequence, int head, std::int64_t first_row, std::int64_t rows,
               int worker) const {
    const std::int64_t global = input_.micro.first_sequence + sequence;
    ops::AttentionTask task;
    task.seq_len = input_.batch->seq_len(global);
    task.first_row = first_row;
    task.rows = std::min(rows, task.seq_len - first_row);
    if (task.rows <= 0) return;
    const std::int64_t row = input_.batch->cu_seqlens[global] - input_.micro.first_row;
    const int num_computed = static_cast<int>(computed_.size());
    task.value = Projected(row, 2 * num_computed + head);
    task.context =
        input_.context + (row * hidden_size_ + head * options_.head_dim) * element_size();
    task.context_stride = hidden_size_;
    task.scratch = context_.scratch + worker * context_.kernels->scratch_bytes();

    const reuse::HeadRef source = plan_.source(input_.layer, head);
    const int slot = plan_.score_slot(source.layer, source.head);
    if (source.layer == input_.layer) {
      const int ordinal = Ordinal(input_.layer, head);
      task.query = Projected(row, ordinal);
      task.key = Projected(row, num_computed + ordinal);
      task.bias = Bias(source, global);
      if (slot >= 0) Keep(sequence, slot, row, &task);
      context_.kernels->ComputeHead(task);
      return;
    }
    switch (input_.strategies[sequence]) {
      case Strategy::kStored:
        task.scores = context_.scores->block(slot, sequence);
        return context_.kernels->ReuseHead(task);
      case Strategy::kRecompute:
        ops::TakeProjections(*context_.projections, slot, row, &task);
        task.scores = context_.projections->row_statistics(slot, row);
        task.bias = Bias(source, global);
        return context_.kernels->RecomputeHead(task);
      case Strategy::kFused:
        ops::TakeProjections(*context_.projections, slot, row, &task);
        task.bias = Bias(source, global);
        return context_.kernels->ComputeHead(task);
      case Strategy::kNone:
        break;
    }
    REPRISE_CHECK(false);  // a head that reuses, in a group that does not
  }

 private:
  std::int64_t element_size() const {
    return static_cast<std::int64_t>(SizeOf(options_.precision));
  }

  // Columns [head * head_dim, ...) of the input projection, from row `row` of the micro-batch.
  ops::HeadView Projected(std::int64_t row, std::int64_t head) const {
    const ops::PanelLayout& layout = input_.projected_layout;
    const std::int64_t column = head * options_.head_dim;
    const std::int64_t panel = column / layout.panel_columns;
    const std::int64_t element = layout.offset(panel, row) + column % layout.panel_columns;
    return {input_.projected + element * element_size(), layout.width(panel)};
  }

  int Ordinal(int layer, int head) const {
    const std::vector<int>& heads = plan_.computed_heads(layer);
    return static_cast<int>(std::lower_bound(heads.begin(), heads.end(), head) - heads.begin());
  }

  ops::RelativeBias Bias(reuse::HeadRef source, std::int64_t sequence) const {
    if (context_.relative_max_distance == 0) return {};
    const std::int64_t width = 2 * context_.relative_max_distance - 1;
    const std::int32_t* positions =
        input_.batch->position_ids.empty()
            ? nullptr
            : input_.batch->position_ids.data() + input_.batch->cu_seqlens[sequence];
    return {
        context_.relative_bias[source.layer]->data() + Ordinal(source.layer, source.head) * width,
        context_.relative_max_distance, positions};
  }

  // Arranges that later layers find what they need of this head: its scores, or its queries and
  // keys.
  void Keep(std::int64_t sequence, int slot, std::int64_t row, ops::AttentionTask* task) const {
    if (input_.strategies[sequence] == Strategy::kStored) {
      task->scores = context_.scores->block(slot, sequence);
    } else {
      ops::KeepProjections(*context_.projections, slot, row, task);
    }
  }

  const AttentionContext& context_;
  const AttentionInput& input_;
  const reuse::ReusePlan& plan_;
  const std::vector<int>& computed_;
  const ops::AttentionOptions& options_;
  std::int64_t hidden_size_;
};

void Count(const AttentionContext& context, const AttentionInput& input, ScoreCounts* counts) {
  const auto computed = static_cast<std::int64_t>(context.plan->computed_heads(input.layer).size());
  const std::int64_t reused = context.plan->num_heads() - computed;
  for (std::int64_t s = 0; s < input.micro.sequences; ++s) {
    const std::int64_t n = input.batch->seq_len(input.micro.first_sequence + s);
    counts->computed += computed * n * n;
    const bool stored = input.strategies[s] == Strategy::kStored;
    (stored ? counts->reused : counts->recomputed) += reused * n * n;
    counts->padding += (stored ? computed : computed + reused) * n *
                       (memory::AlignUp(n, context.kernels->key_step()) - n);
  }
}

}  // namespace

void RunAttention(device::ThreadTeam& team, const AttentionContext& context,
                  const AttentionInput& input, ScoreCounts* counts) {
  const LayerRunner runner(context, input);
  const std::int64_t heads = context.plan->num_heads();
  std::int64_t longest = 0;
  for (std::int64_t s = 0; s < input.micro.sequences; ++s) {
    longest = std::max<std::int64_t>(longest, input.batch->seq_len(input.micro.first_sequence + s));
  }
  // Splitting a head repeats the packing of its keys and values, so only when heads alone cannot
  // occupy the team.
  const bool split = input.micro.sequences * heads < 4 * team.size();
  const std::int64_t chunk_rows = split ? kChunkRows : longest;
  const std::int64_t chunks = (longest + chunk_rows - 1) / chunk_rows;
  team.ParallelFor(input.micro.sequences * heads * chunks, [&](std::int64_t task, int worker) {
    const std::int64_t chunk = task % chunks;
    const std::int64_t head = task / chunks % heads;
    runner.RunTask(task / chunks / heads, static_cast<int>(head), chunk * chunk_rows, chunk_rows,
                   worker);
  });
  Count(context, input, counts);
}

}  // namespace reprise::engine::layers
