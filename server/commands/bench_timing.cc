#include "server/commands/bench_timing.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::commands {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

struct TokenBatch {
  std::vector<std::int32_t> cu_seqlens;
  std::vector<std::int32_t> input_ids;

  engine::RaggedBatch view() const {
    return {
        .cu_seqlens = cu_seqlens, .input_ids = input_ids, .token_type_ids = {}, .position_ids = {}};
  }
};

TokenBatch RandomBatch(std::int64_t batch_size, std::int64_t seq_len, int vocab_size,
                       std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::uniform_int_distribution<std::int32_t> ids(0, vocab_size - 1);
  TokenBatch batch;
  for (std::int64_t i = 0; i <= batch_size; ++i) {
    batch.cu_seqlens.push_back(static_cast<std::int32_t>(i * seq_len));
  }
  batch.input_ids.resize(batch_size * seq_len);
  for (std::int32_t& id : batch.input_ids) id = ids(generator);
  return batch;
}

// One executor and what its runs took.
struct Contender {
  const BenchModel* model;
  engine::ReuseStrategy strategy;
  std::unique_ptr<engine::Executor> executor;
  std::vector<double> milliseconds;
  std::array<std::vector<double>, engine::kNumPhases> phase_milliseconds;

  absl::Status Run(const engine::RaggedBatch& batch, bool record) {
    engine::Outputs outputs;
    const steady_clock::time_point begin = steady_clock::now();
    REPRISE_RETURN_IF_ERROR(executor->Run(batch, {.last_hidden_state = true}, &outputs));
    const duration<double, std::milli> elapsed = steady_clock::now() - begin;
    if (!record) return absl::OkStatus();
    milliseconds.push_back(elapsed.count());
    for (int phase = 0; phase < engine::kNumPhases; ++phase) {
      phase_milliseconds[phase].push_back(1e-6 *
                                          static_cast<double>(executor->report().phase_ns[phase]));
    }
    return absl::OkStatus();
  }
};

absl::Status CheckCase(const engine::Model& model, std::int64_t batch_size, std::int64_t seq_len) {
  const int positions = model.config().max_position_embeddings;
  if (seq_len > positions) {
    return absl::InvalidArgumentError(absl::StrCat("the length is ", seq_len, ", expected at most ",
                                                   positions,
                                                   ", the model's max_position_embeddings"));
  }
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
  if (batch_size > kMostTokens / seq_len) {
    return absl::InvalidArgumentError(absl::StrCat("the batch has ", batch_size, " x ", seq_len,
                                                   " tokens, expected at most ", kMostTokens));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Contender>> MakeContenders(const std::vector<BenchModel>& models,
                                                      const BenchTimingOptions& options,
                                                      std::int64_t batch_size,
                                                      std::int64_t seq_len) {
  std::vector<Contender> contenders;
  for (const BenchModel& model : models) {
    REPRISE_RETURN_IF_ERROR(CheckCase(*model.model, batch_size, seq_len));
    for (const engine::ReuseStrategy strategy : options.strategies) {
      engine::ExecutorOptions executor;
      executor.threads = options.threads;
      executor.max_batch_tokens = batch_size * seq_len;
      executor.max_batch_sequences = batch_size;
      executor.score_cache_bytes = options.score_cache_bytes;
      executor.strategy = strategy;
      executor.score_format = options.score_format;
      executor.pin_threads = options.pin_threads;
      Contender& contender = contenders.emplace_back();
      contender.model = &model;
      contender.strategy = strategy;
      REPRISE_ASSIGN_OR_RETURN(contender.executor, engine::Executor::Create(model.model, executor));
      // An exact plan reuses nothing, so there is one way to run it.
      if (model.model->plan().num_reused_heads() == 0) break;
    }
  }
  return contenders;
}

BenchRow MakeRow(const Contender& contender, std::int64_t batch_size, std::int64_t seq_len) {
  const engine::Model& model = *contender.model->model;
  BenchRow row;
  row.plan = contender.model->plan;
  row.weights = contender.model->weights;
  row.precision = model.precision();
  row.strategy = contender.strategy;
  row.batch_size = batch_size;
  row.seq_len = seq_len;
  row.threads = contender.executor->options().threads;
  row.repetitions = static_cast<int>(contender.milliseconds.size());
  row.min_ms = *std::min_element(contender.milliseconds.begin(), contender.milliseconds.end());
  row.median_ms = Median(contender.milliseconds);
  for (int phase = 0; phase < engine::kNumPhases; ++phase) {
    row.phase_ms[phase] = Median(contender.phase_milliseconds[phase]);
  }
  row.tokens_per_second = 1e3 * static_cast<double>(batch_size * seq_len) / row.median_ms;
  row.parameter_count = model.parameter_count();
  row.parameter_bytes = model.parameter_bytes();
  row.report = contender.executor->report();
  for (const engine::ScoreCounts& layer : row.report.layer_scores) {
    row.scores.computed += layer.computed;
    row.scores.reused += layer.reused;
    row.scores.recomputed += layer.recomputed;
  }
  return row;
}

// Sets the ratios of rows of one batch size and length.
void CompareWithExact(std::vector<BenchRow>& rows, std::size_t first) {
  for (std::size_t i = first; i < rows.size(); ++i) {
    for (std::size_t j = first; j < rows.size(); ++j) {
      if (rows[j].plan == "exact" && rows[j].precision == rows[i].precision) {
        rows[i].ratio_to_exact = rows[i].median_ms / rows[j].median_ms;
        break;
      }
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<BenchRow>> TimeModels(
    const std::vector<BenchModel>& models, const BenchTimingOptions& options,
    const std::function<void(int done, int total)>& progress) {
  const int rounds = options.warmup + options.repetitions;
  const int total = rounds * static_cast<int>(options.batch_sizes.size() * options.seq_lens.size());
  int done = 0;
  std::vector<BenchRow> rows;
  for (const std::int64_t batch_size : options.batch_sizes) {
    for (const std::int64_t seq_len : options.seq_lens) {
      REPRISE_ASSIGN_OR_RETURN(std::vector<Contender> contenders,
                               MakeContenders(models, options, batch_size, seq_len));
      const TokenBatch batch =
          RandomBatch(batch_size, seq_len, models.front().model->config().vocab_size, options.seed);
      for (int round = 0; round < rounds; ++round) {
        for (Contender& contender : contenders) {
          REPRISE_RETURN_IF_ERROR(contender.Run(batch.view(), round >= options.warmup));
        }
        progress(++done, total);
      }
      const std::size_t first = rows.size();
      for (const Contender& contender : contenders) {
        rows.push_back(MakeRow(contender, batch_size, seq_len));
      }
      CompareWithExact(rows, first);
    }
  }
  return rows;
}

double Median(std::vector<double> values) {
  REPRISE_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace reprise::server::commands
