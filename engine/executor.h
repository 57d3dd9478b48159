// Runs ragged batches through a model on one device.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/execution_report.h"
#include "engine/model.h"
#include "engine/tensor/matrix_view.h"
#include "engine/tensor/ragged_batch.h"

namespace reprise::engine {

// How reuse heads get their scores (reuse/strategy.h). kAuto: what costs least by times measured at
// creation, for each reuse group and sequence length; stored only where one sequence's scores fit
// the score cache.
enum class ReuseStrategy { kAuto, kStored, kRecompute, kFused };
// How stored scores are kept. kAuto: fp32 for an fp32 model, bf16 for a bf16 model.
enum class ScoreFormat { kAuto, kF32, kBF16 };
DType ResolveScoreFormat(ScoreFormat format, Precision resolved);

struct ExecutorOptions {
  int threads = 1;                         // >= 1; the calling thread is one of them
  std::int64_t max_batch_tokens = 4096;    // largest total_tokens of a batch; memory grows with it
  std::int64_t max_batch_sequences = 256;  // largest batch_size of a batch
  // Upper limit; the cache never takes more than the longest sequence can use.
  std::int64_t score_cache_bytes = 256 << 20;
  ReuseStrategy strategy = ReuseStrategy::kAuto;
  ScoreFormat score_format = ScoreFormat::kAuto;
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

// Owns a thread team, an arena and a score cache. Not thread-safe: one Run at a time. Nothing is
// allocated by Run once the constructor has returned. The values of a sequence do not depend on the
// other sequences of its batch, bit for bit.
class Executor {
 public:
  // InvalidArgument for options out of range; ResourceExhausted when memory cannot be had.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(std::shared_ptr<const Model> model,
                                                          const ExecutorOptions& options);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // InvalidArgument names the first rule of RaggedBatch that `batch` breaks, or the limit of the
  // options that it passes.
  absl::Status Run(const RaggedBatch& batch, const OutputSet& wanted, Outputs* outputs);

  const ExecutionReport& report() const;  // of the last successful Run
  const Model& model() const;
  const ExecutorOptions& options() const;

 private:
  class Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::engine
