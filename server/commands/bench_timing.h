// Times batches through executors, interleaved so that all of them see the same machine.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/execution_report.h"
#include "engine/executor.h"
#include "server/commands/bench_batch.h"
#include "server/commands/bench_models.h"

namespace reprise::server::commands {

struct BenchTimingOptions {
  std::vector<std::int64_t> batch_sizes = {1};
  std::vector<std::int64_t> seq_lens = {128};
  // One batch in place of those: sequences of these lengths, or the ids of this file.
  std::vector<std::int64_t> lengths;
  std::string input_ids_file;
  engine::OutputSet outputs = {.last_hidden_state = true};
  std::vector<engine::ReuseStrategy> strategies = {engine::ReuseStrategy::kAuto};
  engine::ScoreFormat score_format = engine::ScoreFormat::kAuto;
  std::int64_t score_cache_bytes = engine::ExecutorOptions().score_cache_bytes;
  int executors = 1;  // that run the same batch side by side, for throughput
  int threads = 1;    // of each
  bool batch_invariant = true;
  bool pin_threads = false;
  int repetitions = 15;
  int warmup = 3;
  std::uint64_t seed = 1;  // of the token ids
};

// One model, strategy and batch.
struct BenchRow {
  std::string plan;
  std::string weights;
  engine::Precision precision = engine::Precision::kF32;
  engine::ReuseStrategy strategy = engine::ReuseStrategy::kAuto;
  std::int64_t batch_size = 0;
  std::int64_t seq_len = 0;  // of the longest sequence
  std::int64_t tokens = 0;   // of the batch
  int executors = 1;
  int threads = 0;  // of each
  int repetitions = 0;
  double min_ms = 0;
  double median_ms = 0;
  std::array<double, engine::kNumPhases> phase_ms = {};  // median of each, by engine::Phase
  // median_ms over that of the plan "exact" in the same precision; 0 when that was not measured.
  double ratio_to_exact = 0;
  double tokens_per_second = 0;  // at the median, of all executors together
  engine::ScoreCounts scores;    // of one batch, over all layers
  std::int64_t parameter_count = 0;
  std::int64_t parameter_bytes = 0;
  engine::ExecutionReport report;  // of the last repetition
};

// "last_hidden_state", "sentence_embedding", "pooler_output" or "logits". InvalidArgument for
// anything else.
absl::StatusOr<engine::OutputSet> ParseOutput(std::string_view name);

// The batches that the options name, in order; ids are random but for those of a file. NotFound or
// InvalidArgument for a file that has none.
absl::StatusOr<std::vector<TokenBatch>> MakeBatches(const BenchTimingOptions& options,
                                                    int vocab_size);

// Runs every model with every strategy on the same token ids, for each batch: warm-up first, then
// each repetition runs all of them once, in turn. `progress` is called after each repetition.
// InvalidArgument for a length or size that a model cannot run.
absl::StatusOr<std::vector<BenchRow>> TimeModels(
    const std::vector<BenchModel>& models, const BenchTimingOptions& options,
    const std::function<void(int done, int total)>& progress);

// Runs the first model once on the first batch and writes the last hidden state of its tokens, fp32
// in little-endian order, [tokens, hidden_size], so that other programs can compare.
absl::Status SaveOutputs(const std::vector<BenchModel>& models, const BenchTimingOptions& options,
                         const std::string& path);

// Median of at least one value, the mean of the middle two of an even number.
double Median(std::vector<double> values);

}  // namespace reprise::server::commands
