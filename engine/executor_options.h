// What an executor is made with, what is asked of a run, and what it gives.
#pragma once

#include <cstdint>

#include "engine/reuse/strategy_cost.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/matrix_view.h"

namespace reprise::engine {

// How reuse heads get their scores (reuse/strategy.h). kAuto: what costs least by times measured at
// creation, for each reuse group and sequence length; stored only where one sequence's scores fit
// the score cache.
enum class ReuseStrategy { kAuto, kStored, kRecompute, kFused };
constexpr reuse::AllowedStrategies Allowed(ReuseStrategy strategy) {
  const bool all = strategy == ReuseStrategy::kAuto;
  return {.stored = all || strategy == ReuseStrategy::kStored,
          .recompute = all || strategy == ReuseStrategy::kRecompute,
          .fused = all || strategy == ReuseStrategy::kFused};
}

// How stored scores are kept. kAuto: fp32 for an fp32 model, bf16 for a bf16 model.
enum class ScoreFormat { kAuto, kF32, kBF16 };

struct ExecutorOptions {
  // >= 1; the calling thread is one of them. A GPU needs one.
  int threads = 1;
  std::int64_t max_batch_tokens = 4096;    // largest total_tokens of a batch; memory grows with it
  std::int64_t max_batch_sequences = 256;  // largest batch_size of a batch
  // Upper limit; the cache never takes more than the longest sequence can use on a CPU, or the
  // largest batch on a GPU.
  std::int64_t score_cache_bytes = 256 << 20;
  ReuseStrategy strategy = ReuseStrategy::kAuto;
  ScoreFormat score_format = ScoreFormat::kAuto;
  // Whether a sequence's numbers are the same bits alone and in any batch. false: a GPU may also
  // take matrix products that are faster for few rows and sum in another order for more; a CPU
  // always is.
  bool batch_invariant = true;
  bool pin_threads = false;  // bind the helper threads to cores, from first_core on
  int first_core = 0;        // where several executors run at once, each needs cores of its own
};

// Which outputs a run produces. Asking for one that the model lacks is InvalidArgument.
struct OutputSet {
  bool last_hidden_state = false;
  bool sentence_embedding = false;
  bool pooler_output = false;
  bool logits = false;
};

// Views into the executor's memory, valid until its next Run. Empty (data == nullptr) when not
// asked for.
struct Outputs {
  MatrixView<const float> last_hidden_state;   // [total_tokens, hidden_size]
  MatrixView<const float> sentence_embedding;  // [batch_size, hidden_size]
  MatrixView<const float> pooler_output;       // [batch_size, hidden_size], tanh dense on token 0
  MatrixView<const float> logits;              // [batch_size, num_labels]
};

}  // namespace reprise::engine
