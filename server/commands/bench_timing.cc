#include "server/commands/bench_timing.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::server::commands {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

// One executor, or several side by side, and what their runs took.
struct Contender {
  const BenchModel* model;
  engine::ReuseStrategy strategy;
  std::vector<std::unique_ptr<engine::Executor>> executors;
  std::vector<double> milliseconds;
  std::array<std::vector<double>, engine::kNumPhases> phase_milliseconds;  // of the first executor

  const engine::Executor& first() const { return *executors.front(); }

  // Until the last executor is done.
  absl::Status Run(const engine::RaggedBatch& batch, const engine::OutputSet& wanted, bool record) {
    std::vector<absl::Status> statuses(executors.size());
    const auto run = [&](std::size_t i) {
      engine::Outputs outputs;
      statuses[i] = executors[i]->Run(batch, wanted, &outputs);
    };
    const steady_clock::time_point begin = steady_clock::now();
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < executors.size(); ++i) others.emplace_back(run, i);
    run(0);
    for (std::thread& other : others) other.join();
    const duration<double, std::milli> elapsed = steady_clock::now() - begin;
    for (const absl::Status& status : statuses) REPRISE_RETURN_IF_ERROR(status);
    if (!record) return absl::OkStatus();
    milliseconds.push_back(elapsed.count());
    for (int phase = 0; phase < engine::kNumPhases; ++phase) {
      phase_milliseconds[phase].push_back(1e-6 *
                                          static_cast<double>(first().report().phase_ns[phase]));
    }
    return absl::OkStatus();
  }
};

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

absl::Status CheckBatch(const engine::Model& model, const TokenBatch& batch) {
  const int positions = model.config().max_position_embeddings;
  if (batch.longest() > positions) {
    return absl::InvalidArgumentError(absl::StrCat("the length is ", batch.longest(),
                                                   ", expected at most ", positions,
                                                   ", the model's max_position_embeddings"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Contender> MakeContender(const BenchModel& model, engine::ReuseStrategy strategy,
                                        const BenchTimingOptions& options,
                                        const TokenBatch& batch) {
  engine::ExecutorOptions executor;
  executor.threads = options.threads;
  executor.max_batch_tokens = static_cast<std::int64_t>(batch.input_ids.size());
  executor.max_batch_sequences = static_cast<std::int64_t>(batch.lengths().size());
  executor.score_cache_bytes = options.score_cache_bytes;
  executor.strategy = strategy;
  executor.score_format = options.score_format;
  executor.batch_invariant = options.batch_invariant;
  executor.pin_threads = options.pin_threads;
  Contender contender;
  contender.model = &model;
  contender.strategy = strategy;
  for (int i = 0; i < options.executors; ++i) {
    executor.first_core = i * options.threads;
    auto created = engine::Executor::Create(model.model, executor);
    REPRISE_RETURN_IF_ERROR(created.status());
    contender.executors.push_back(*std::move(created));
  }
  return contender;
}

absl::StatusOr<std::vector<Contender>> MakeContenders(const std::vector<BenchModel>& models,
                                                      const BenchTimingOptions& options,
                                                      const TokenBatch& batch) {
  std::vector<Contender> contenders;
  for (const BenchModel& model : models) {
    REPRISE_RETURN_IF_ERROR(CheckBatch(*model.model, batch));
    for (const engine::ReuseStrategy strategy : options.strategies) {
      REPRISE_ASSIGN_OR_RETURN(Contender contender, MakeContender(model, strategy, options, batch));
      contenders.push_back(std::move(contender));
      // An exact plan reuses nothing, so there is one way to run it.
      if (model.model->plan().num_reused_heads() == 0) break;
    }
  }
  return contenders;
}

BenchRow MakeRow(const Contender& contender, const TokenBatch& batch) {
  const engine::Model& model = *contender.model->model;
  BenchRow row;
  row.plan = contender.model->plan;
  row.weights = contender.model->weights;
  row.precision = model.precision();
  row.strategy = contender.strategy;
  row.batch_size = static_cast<std::int64_t>(batch.lengths().size());
  row.seq_len = batch.longest();
  row.tokens = static_cast<std::int64_t>(batch.input_ids.size());
  row.executors = static_cast<int>(contender.executors.size());
  row.threads = contender.first().options().threads;
  row.repetitions = static_cast<int>(contender.milliseconds.size());
  row.min_ms = *std::min_element(contender.milliseconds.begin(), contender.milliseconds.end());
  row.median_ms = Median(contender.milliseconds);
  for (int phase = 0; phase < engine::kNumPhases; ++phase) {
    row.phase_ms[phase] = Median(contender.phase_milliseconds[phase]);
  }
  row.tokens_per_second = 1e3 * static_cast<double>(row.executors * row.tokens) / row.median_ms;
  row.parameter_count = model.parameter_count();
  row.parameter_bytes = model.parameter_bytes();
  row.report = contender.first().report();
  for (const engine::ScoreCounts& layer : row.report.layer_scores) {
    row.scores.computed += layer.computed;
    row.scores.reused += layer.reused;
    row.scores.recomputed += layer.recomputed;
  }
  return row;
}

// Sets the ratios of rows of one batch.
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

absl::StatusOr<std::vector<TokenBatch>> MakeBatches(const BenchTimingOptions& options,
                                                    int vocab_size) {
  std::vector<TokenBatch> batches;
  if (!options.input_ids_file.empty()) {
    REPRISE_ASSIGN_OR_RETURN(TokenBatch batch, ReadTokenBatch(options.input_ids_file));
    batches.push_back(std::move(batch));
    return batches;
  }
  std::vector<std::vector<std::int64_t>> cases;
  if (!options.lengths.empty()) {
    cases.push_back(options.lengths);
  } else {
    for (const std::int64_t batch_size : options.batch_sizes) {
      for (const std::int64_t seq_len : options.seq_lens) {
        if (batch_size > kMostTokens / seq_len) {
          return absl::InvalidArgumentError(absl::StrCat("the batch has ", batch_size, " x ",
                                                         seq_len, " tokens, expected at most ",
                                                         kMostTokens));
        }
        cases.emplace_back(batch_size, seq_len);
      }
    }
  }
  for (const std::vector<std::int64_t>& lengths : cases) {
    batches.push_back(RandomBatch(lengths, vocab_size, options.seed));
  }
  return batches;
}

absl::StatusOr<engine::OutputSet> ParseOutput(std::string_view name) {
  if (name == "last_hidden_state") return engine::OutputSet{.last_hidden_state = true};
  if (name == "sentence_embedding") return engine::OutputSet{.sentence_embedding = true};
  if (name == "pooler_output") return engine::OutputSet{.pooler_output = true};
  if (name == "logits") return engine::OutputSet{.logits = true};
  return absl::InvalidArgumentError(
      absl::StrCat("output is '", std::string(name),
                   "'; expected last_hidden_state, sentence_embedding, pooler_output, logits"));
}

absl::StatusOr<std::vector<BenchRow>> TimeModels(
    const std::vector<BenchModel>& models, const BenchTimingOptions& options,
    const std::function<void(int done, int total)>& progress) {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<TokenBatch> batches,
                           MakeBatches(options, models.front().model->config().vocab_size));
  const int rounds = options.warmup + options.repetitions;
  const int total = rounds * static_cast<int>(batches.size());
  int done = 0;
  std::vector<BenchRow> rows;
  for (const TokenBatch& batch : batches) {
    REPRISE_ASSIGN_OR_RETURN(std::vector<Contender> contenders,
                             MakeContenders(models, options, batch));
    for (int round = 0; round < rounds; ++round) {
      // Another one begins each round: who follows whom, and so whose data is still in the caches,
      // should favour nobody.
      for (std::size_t i = 0; i < contenders.size(); ++i) {
        Contender& contender = contenders[(i + round) % contenders.size()];
        // The threads of the one before spin on for a moment; woken then, these would share its
        // core.
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        REPRISE_RETURN_IF_ERROR(
            contender.Run(batch.view(), options.outputs, round >= options.warmup));
      }
      progress(++done, total);
    }
    const std::size_t first = rows.size();
    for (const Contender& contender : contenders) rows.push_back(MakeRow(contender, batch));
    CompareWithExact(rows, first);
  }
  return rows;
}

absl::Status SaveOutputs(const std::vector<BenchModel>& models, const BenchTimingOptions& options,
                         const std::string& path) {
  const BenchModel& model = models.front();
  REPRISE_ASSIGN_OR_RETURN(const std::vector<TokenBatch> batches,
                           MakeBatches(options, model.model->config().vocab_size));
  const TokenBatch& batch = batches.front();
  REPRISE_RETURN_IF_ERROR(CheckBatch(*model.model, batch));
  REPRISE_ASSIGN_OR_RETURN(const Contender contender,
                           MakeContender(model, options.strategies.front(), options, batch));
  engine::Outputs outputs;
  REPRISE_RETURN_IF_ERROR(
      contender.executors.front()->Run(batch.view(), {.last_hidden_state = true}, &outputs));
  const engine::MatrixView<const float>& hidden = outputs.last_hidden_state;
  static_assert(std::endian::native == std::endian::little);
  std::ofstream file(path, std::ios::binary);
  for (std::int64_t row = 0; row < hidden.rows; ++row) {
    file.write(reinterpret_cast<const char*>(hidden.row(row)),
               hidden.columns * static_cast<std::int64_t>(sizeof(float)));
  }
  if (!file.flush()) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": is the folder there?"));
  }
  return absl::OkStatus();
}

double Median(std::vector<double> values) {
  REPRISE_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace reprise::server::commands
