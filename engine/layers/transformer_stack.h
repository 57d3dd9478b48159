// Runs the encoder layers of a model over a ragged batch, depth first within each reuse group.
//
// Layers that share scores are run together for a few sequences at a time (a micro-batch), so that
// the scores are still in cache when they are read; the next sequences follow. Every other layer is
// run in the same way for itself, which keeps its activations in cache and the buffers small
// whatever the size of the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/device/cpu/thread_team.h"
#include "engine/execution_report.h"
#include "engine/layers/encoder_layer.h"
#include "engine/layers/micro_batch.h"
#include "engine/layers/phase_clock.h"
#include "engine/reuse/reuse_plan.h"
#include "engine/reuse/score_cache.h"
#include "engine/reuse/strategy_cost.h"
#include "engine/tensor/matrix_view.h"

namespace reprise::engine::layers {

// What the stack is: borrowed from the model, must outlive the stack.
struct StackModel {
  const reuse::ReusePlan* plan = nullptr;
  std::span<const EncoderLayer> layers;
  const LayerNorm* final_norm = nullptr;  // null: none
  bool norm_first = false;                // pre-LN blocks
  DType precision = DType::kF32;
  std::int64_t hidden_size = 0;
  std::int64_t relative_max_distance = 0;
};

struct StackOptions {
  std::int64_t max_tokens = 0;     // of a batch
  std::int64_t max_sequences = 0;  // of a batch
  std::int64_t max_seq_len = 0;
  std::int64_t score_cache_bytes = 0;
  DType score_format = DType::kF32;
  // Of these, each sequence and group gets the cheapest by measured times (reuse/strategy_cost.h);
  // stored only where the sequence's scores fit the cache. A sequence that none is left for is
  // refused.
  reuse::AllowedStrategies allowed;
};

// Owns the activations, the score cache and the scratch of one executor. Not thread-safe.
class TransformerStack {
 public:
  // ResourceExhausted when the memory cannot be had.
  static absl::StatusOr<std::unique_ptr<TransformerStack>> Create(const StackModel& model,
                                                                  const StackOptions& options,
                                                                  device::ThreadTeam& team);
  ~TransformerStack();
  TransformerStack(const TransformerStack&) = delete;
  TransformerStack& operator=(const TransformerStack&) = delete;

  // The residual stream, [max_tokens, hidden_size] dense: embeddings before LayerNorm go in, the
  // last hidden state comes out.
  MatrixView<float> hidden(std::int64_t rows) const;

  // ResourceExhausted when a sequence's scores do not fit the cache and only `stored` is allowed.
  // Allocates nothing.
  absl::Status CheckScores(const RaggedBatch& batch) const;
  // Normalises hidden with `embedding_norm` and runs all layers. Adds scores, strategies and phase
  // times to `report`, whose layer_scores has num_layers entries. Requires: CheckScores is OK.
  void Run(const RaggedBatch& batch, const LayerNorm& embedding_norm, PhaseClock& clock,
           ExecutionReport* report);

  std::int64_t arena_bytes() const;  // activations and scratch, fixed at creation
  const reuse::ScoreCache& score_cache() const;

 private:
  struct State;
  explicit TransformerStack(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace reprise::engine::layers
