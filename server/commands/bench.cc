#include "server/commands/bench.h"

#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/device/cpu/isa.h"
#include "engine/layers/head_calibration_json.h"
#include "nlohmann/json.hpp"
#include "server/commands/bench_models.h"
#include "server/commands/bench_ops.h"
#include "server/commands/bench_report.h"
#include "server/commands/bench_timing.h"
#include "server/commands/exit_status.h"
#include "server/commands/machine.h"
#include "server/commands/machine_load.h"
#include "server/commands/progress_bar.h"
#include "server/config/option_parsers.h"
#include "server/repository/serving_options.h"

namespace reprise::server::commands {
namespace {

struct BenchOptions {
  BenchModelOptions models;
  BenchTimingOptions timing;
  std::optional<engine::device::CpuIsa> cpu_isa;
  bool phases = false;
  bool ops = false;
  std::string json_file;
  std::string outputs_file;
  std::string calibration_file;  // to use
  std::string calibrate_file;    // to write
};

// What was measured, beside the machine that it was measured on.
absl::Status WriteJson(const std::string& path, const Machine& machine, const std::string& device,
                       double others_share, const nlohmann::ordered_json& measured) {
  nlohmann::ordered_json document = {{"machine", ToJson(machine)}};
  document["machine"]["device"] = device;
  document["machine"]["others_cpu_share"] = others_share;
  document["peak_rss_bytes"] = PeakResidentBytes();
  document.update(measured);
  std::ofstream file(path, std::ios::binary);
  file << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  if (!file.flush()) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": is the folder there?"));
  }
  return absl::OkStatus();
}

void WarnOfOthers(double share) {
  if (share < 0.05) return;
  std::printf(
      "Other programs used %.0f %% of the processors meanwhile: these times are too long, "
      "measure again when the machine is quiet.\n",
      100 * share);
}

// Whole batches. Prints the tables; what they say for JSON.
absl::StatusOr<nlohmann::ordered_json> MeasureRuns(const std::vector<BenchModel>& models,
                                                   const BenchOptions& options) {
  ProgressBar measuring("measuring");
  REPRISE_ASSIGN_OR_RETURN(const std::vector<BenchRow> rows,
                           TimeModels(models, options.timing,
                                      [&](int done, int total) { measuring.Show(done, total); }));
  measuring.Clear();
  std::printf("%s", DrawBenchTable(rows).c_str());
  if (options.phases) std::printf("\nMilliseconds by part:\n%s", DrawPhaseTable(rows).c_str());
  std::printf("Executors: %d, threads of each: %d. Median of %d interleaved repetitions.\n",
              options.timing.executors, options.timing.threads, options.timing.repetitions);
  nlohmann::ordered_json json = {{"rows", nlohmann::ordered_json::array()}};
  for (const BenchRow& row : rows) json["rows"].push_back(ToJson(row));
  return json;
}

// Single kernels, likewise.
absl::StatusOr<nlohmann::ordered_json> MeasureOps(const std::vector<BenchModel>& models,
                                                  const BenchOptions& options) {
  ProgressBar measuring("measuring");
  REPRISE_ASSIGN_OR_RETURN(const OpReport report,
                           TimeModelOps(models, options.timing,
                                        [&](int done, int total) { measuring.Show(done, total); }));
  measuring.Clear();
  std::printf("%sThreads: %d. Median of %d calls.\n", DrawOpReport(report).c_str(),
              options.timing.threads, options.timing.repetitions);
  return ToJson(report);
}

// Measures the heads of every model, as its executor does when nothing is known of them.
absl::Status Calibrate(const std::vector<BenchModel>& models, const BenchOptions& options) {
  for (const BenchModel& model : models) {
    engine::ExecutorOptions executor;
    executor.threads = options.timing.threads;
    executor.pin_threads = options.timing.pin_threads;
    executor.max_batch_tokens = model.model->config().max_position_embeddings;
    executor.max_batch_sequences = 1;
    executor.score_cache_bytes = options.timing.score_cache_bytes;
    executor.score_format = options.timing.score_format;
    REPRISE_RETURN_IF_ERROR(engine::Executor::Create(model.model, executor).status());
  }
  const std::vector<engine::layers::HeadCalibration> known = engine::layers::KnownCalibrations();
  if (known.empty()) {
    return absl::InvalidArgumentError(
        "nothing to calibrate: none of the plans reuses a head; name one with --plan, such as "
        "12x6");
  }
  REPRISE_RETURN_IF_ERROR(engine::layers::WriteCalibration(known, options.calibrate_file));
  std::printf("Wrote the times of %zu kinds of heads, %d threads, to %s.\n", known.size(),
              options.timing.threads, options.calibrate_file.c_str());
  return absl::OkStatus();
}

// What times the kernels of a CPU alone.
absl::Status CheckDevice(const BenchOptions& options) {
  if (options.models.device.kind == engine::DeviceId::Kind::kCpu) return absl::OkStatus();
  const bool cpu_only =
      options.ops || !options.calibrate_file.empty() || !options.calibration_file.empty();
  if (!cpu_only) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--ops, --calibrate and --calibration are about the processor's kernels; leave "
                   "out --device ",
                   engine::ToString(options.models.device)));
}

absl::Status Measure(const BenchOptions& options) {
  REPRISE_RETURN_IF_ERROR(CheckDevice(options));
  if (options.cpu_isa.has_value()) {
    REPRISE_RETURN_IF_ERROR(engine::device::LimitCpuIsa(*options.cpu_isa));
  }
  if (!options.calibration_file.empty()) {
    REPRISE_ASSIGN_OR_RETURN(const auto calibrations,
                             engine::layers::ReadCalibration(options.calibration_file));
    engine::layers::UseCalibration(calibrations);
  }
  const Machine machine = DescribeMachine();
  std::printf("%s\n", ToText(machine).c_str());

  ProgressBar loading("loading");
  REPRISE_ASSIGN_OR_RETURN(
      const std::vector<BenchModel> models,
      LoadBenchModels(options.models, [&](int done, int total) { loading.Show(done, total); }));
  loading.Clear();
  if (options.models.device.kind != engine::DeviceId::Kind::kCpu) {
    std::printf("%s\n", models.front().model->DescribeDevice().c_str());
  }

  if (!options.calibrate_file.empty()) return Calibrate(models, options);
  if (!options.outputs_file.empty()) {
    REPRISE_RETURN_IF_ERROR(SaveOutputs(models, options.timing, options.outputs_file));
  }
  const MachineLoad load;
  REPRISE_ASSIGN_OR_RETURN(
      const nlohmann::ordered_json measured,
      options.ops ? MeasureOps(models, options) : MeasureRuns(models, options));
  const double others_share = load.OthersShare();
  WarnOfOthers(others_share);
  if (options.json_file.empty()) return absl::OkStatus();
  return WriteJson(options.json_file, machine, models.front().model->DescribeDevice(), others_share,
                   measured);
}

void AddModelFlags(CLI::App& command, BenchModelOptions* options) {
  command.option_defaults()->group("What to run");
  CLI::Option* model =
      command.add_option("--model", options->checkpoint, "Checkpoint folder")->type_name("DIR");
  CLI::Option* config =
      command.add_option("--config", options->config_file, "A config.json, with --random-weights")
          ->type_name("FILE")
          ->check(CLI::ExistingFile)
          ->excludes(model);
  CLI::Option* random = command.add_flag("--random-weights")
                            ->description("Draw the weights of --config at random")
                            ->needs(config);
  config->needs(random);
  command
      .add_option("--plan", options->plans,
                  "Reuse plans to compare, with commas: exact, KxP (K heads reused in P layers), "
                  "alternate-P, all_end-P, skip-P, or own, the plan that the checkpoint or config "
                  "brings. A reuse checkpoint has own and exact only; exact then fills the missing "
                  "query and key weights at random (speed and memory only). Default: own for a "
                  "reuse model, else exact")
      ->delimiter(',')
      ->type_name("PLAN,...");
  config::AddParsedOption(command, "--device", &options->device, engine::ParseDeviceId,
                          "cpu|cuda|cuda:N", "cpu", "What the models run on");
  config::AddParsedList(command, "--precision", &options->precisions, repository::ParsePrecision,
                        "auto|fp32|bf16,...", "auto",
                        "Arithmetic of matrix products, one row for each");
  command.add_option("--seed", options->seed, "Of random weights and token ids")
      ->capture_default_str();
  command
      .add_option("--save-weights", options->save_weights,
                  "Write the random model to this new folder, so that other programs can load it")
      ->type_name("DIR")
      ->needs(random);
}

void AddTimingFlags(CLI::App& command, BenchTimingOptions* options) {
  command.option_defaults()->group("How to run it");
  const auto positive = CLI::Range(std::int64_t{1}, std::int64_t{1} << 20);
  command.add_option("--batch-size", options->batch_sizes, "Sequences per batch, with commas")
      ->delimiter(',')
      ->capture_default_str()
      ->check(positive);
  command.add_option("--seq-len", options->seq_lens, "Tokens per sequence, with commas")
      ->delimiter(',')
      ->capture_default_str()
      ->check(positive);
  command
      .add_option("--lengths", options->lengths,
                  "One batch instead: sequences of these lengths, with commas")
      ->delimiter(',')
      ->type_name("N,...")
      ->excludes("--batch-size")
      ->excludes("--seq-len")
      ->check(positive);
  command
      .add_option(
          "--input-ids", options->input_ids_file,
          "One batch instead, its token ids from this file: a JSON list of sequences, each a "
          "list of ids")
      ->type_name("FILE")
      ->excludes("--batch-size")
      ->excludes("--seq-len")
      ->excludes("--lengths");
  config::AddParsedOption(command, "--output", &options->outputs, ParseOutput, "NAME",
                          "last_hidden_state",
                          "What each run gives back: last_hidden_state, sentence_embedding, "
                          "pooler_output or logits; a GPU has to copy it to the host");
  config::AddParsedList(command, "--strategy", &options->strategies, repository::ParseStrategy,
                        "auto|stored|recompute|fused,...", "auto",
                        "How reuse heads get their scores, one row for each");
  config::AddParsedOption(command, "--score-format", &options->score_format,
                          repository::ParseScoreFormat, "auto|fp32|bf16", "auto",
                          "How stored scores are kept");
  command
      .add_option("--score-cache-bytes", options->score_cache_bytes,
                  "Most memory for stored scores")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("BYTES")
      ->default_str(std::to_string(options->score_cache_bytes));
  command
      .add_option("--executors", options->executors,
                  "Executors that run the same batch side by side, each with its own threads: for "
                  "throughput")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command.add_option("--threads", options->threads, "Threads of each executor")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--batch-invariant", options->batch_invariant,
                  "Same bits alone and in any batch; without, a GPU is faster for small batches")
      ->type_name("true|false")
      ->default_str("true");
  command.add_flag("--pin-threads", options->pin_threads, "Bind the helper threads to cores");
  command.add_option("--repetitions", options->repetitions, "Timed runs of each row")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--warmup", options->warmup, "Runs of each row before that")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
}

}  // namespace

void AddBenchCommand(CLI::App& app, int* exit_status) {
  CLI::App* command =
      app.add_subcommand("bench", "Time the engine on this machine, exact against reuse");
  auto options = std::make_shared<BenchOptions>();
  AddModelFlags(*command, &options->models);
  AddTimingFlags(*command, &options->timing);
  config::AddParsedOption(*command, "--cpu-isa", &options->cpu_isa, engine::device::ParseCpuIsa,
                          "sse4|avx2|avx512|avx512_bf16|amx", "the best there is",
                          "Newest instruction set to use");
  command
      ->add_option(
          "--calibration", options->calibration_file,
          "Choose strategies by the times in this file of --calibrate instead of measuring")
      ->type_name("FILE");
  command->option_defaults()->group("What to tell");
  command
      ->add_option("--calibrate", options->calibrate_file,
                   "Only time the attention heads of the models, with --threads, and write what "
                   "strategy auto chooses by to this file")
      ->type_name("FILE")
      ->excludes("--calibration");
  command->add_flag("--phases", options->phases, "Print where the time goes as well");
  command->add_flag("--ops", options->ops,
                    "Time the kernels one by one instead, beside what the machine can do");
  command->add_option("--json", options->json_file, "Write machine and rows to this file")
      ->type_name("FILE");
  command
      ->add_option("--save-outputs", options->outputs_file,
                   "Write the last hidden state of the first plan on the first batch to this file: "
                   "fp32, one row per token")
      ->type_name("FILE");
  command->callback([options, exit_status] {
    options->timing.seed = options->models.seed;
    if (options->models.checkpoint.empty() && options->models.config_file.empty()) {
      throw CLI::RequiredError("--model, or --config with --random-weights");
    }
    *exit_status = Report("bench", Measure(*options));
  });
}

}  // namespace reprise::server::commands
