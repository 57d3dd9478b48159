#include "server/commands/simulate.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"
#include "server/batching/batching_options.h"
#include "server/commands/exit_status.h"
#include "server/commands/progress_bar.h"
#include "server/commands/simulation_report.h"
#include "server/commands/whole_file.h"
#include "server/config/flags.h"
#include "server/config/option_parsers.h"
#include "server/simulation/arrival_trace.h"
#include "server/simulation/batch_cost.h"
#include "server/simulation/simulator.h"
#include "server/simulation/synthetic_trace.h"

namespace reprise::server::commands {
namespace {

using simulation::ArrivalTrace;
using simulation::BatchCost;
using simulation::LengthRange;

constexpr std::int64_t kDefaultBatchTokens = 4096;  // as the server's for models up to that length

struct SimulateOptions {
  std::string trace_file;
  simulation::SyntheticTraceOptions synthetic{.rate = 0, .seconds = 10, .lengths = {{16, 128, 1}}};
  std::int64_t timeout_ms = 0;
  std::string save_trace;

  std::string bench_file;
  std::string bench_plan;
  std::string bench_precision;
  BatchCost cost;
  double jitter = 0;
  std::int64_t score_bytes_per_square = 0;

  int executors = 1;
  batching::BatchingOptions batching;
  std::string json_file;
};

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write '", path, "': is the folder there?"));
}

absl::Status InFile(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("'", path, "': ", status.message()));
}

absl::StatusOr<ArrivalTrace> Traffic(const SimulateOptions& options) {
  if (options.trace_file.empty()) {
    simulation::SyntheticTraceOptions synthetic = options.synthetic;
    synthetic.timeout = std::chrono::milliseconds(options.timeout_ms);
    return simulation::MakeSyntheticTrace(synthetic);
  }
  REPRISE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(options.trace_file));
  absl::StatusOr<ArrivalTrace> trace = simulation::ParseTrace(text);
  return trace.ok() ? std::move(trace) : InFile(options.trace_file, trace.status());
}

absl::StatusOr<BatchCost> Cost(const SimulateOptions& options) {
  if (options.bench_file.empty()) return options.cost;
  REPRISE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(options.bench_file));
  const auto batches =
      simulation::ReadBenchReport(text, options.bench_plan, options.bench_precision);
  if (!batches.ok()) return InFile(options.bench_file, batches.status());
  const simulation::CostFit fit = simulation::FitCost(*batches);
  std::printf(
      "A batch takes %.3g us + %.3g us x tokens + %.3g ns x squared lengths: the %zu rows of "
      "%s within %.1f %%\n",
      fit.cost.fixed_us, fit.cost.per_token_us, fit.cost.per_square_ns, batches->size(),
      options.bench_file.c_str(), 100 * fit.largest_error);
  return fit.cost;
}

simulation::SimulationOptions Settings(const SimulateOptions& options, const BatchCost& cost) {
  const batching::BatchingOptions& batching = options.batching;
  ModelLimits limits;
  limits.max_batch_size = batching.max_batch_size;
  limits.max_batch_tokens =
      batching.max_batch_tokens > 0 ? batching.max_batch_tokens : kDefaultBatchTokens;
  limits.max_batch_score_bytes = batching.max_batch_score_bytes;
  limits.max_queue_delay_us = batching.max_queue_delay_us;
  limits.priority_levels = batching.priority_levels;
  limits.default_priority = batching.default_priority;
  return {.rules = batching::MakePlannerRules(limits, batching),
          .bounds = {.requests = batching.max_queue_requests,
                     .rows = batching.max_queue_rows,
                     .tokens = std::max(batching.max_queue_tokens, limits.max_batch_tokens),
                     .bytes = batching.max_queue_bytes,
                     .score_bytes = batching.max_queue_score_bytes},
          .executors = options.executors,
          .cost = cost,
          .score_bytes_per_square = options.score_bytes_per_square,
          .queue_timeout = batching.queue_timeout,
          .jitter = options.jitter};
}

absl::Status RunSimulation(const SimulateOptions& options) {
  REPRISE_RETURN_IF_ERROR(batching::Validate(options.batching));
  REPRISE_ASSIGN_OR_RETURN(const ArrivalTrace trace, Traffic(options));
  REPRISE_ASSIGN_OR_RETURN(const BatchCost cost, Cost(options));
  if (!options.save_trace.empty()) {
    REPRISE_RETURN_IF_ERROR(WriteFile(options.save_trace, simulation::TraceText(trace)));
  }
  ProgressBar bar("simulating");
  const simulation::SimulationResult result =
      simulation::Simulate(trace, Settings(options, cost), [&](std::size_t arrived) {
        bar.Show(static_cast<int>(arrived), static_cast<int>(trace.size()));
      });
  bar.Clear();
  const SimulationSummary summary = Summarize(trace, result, options.executors);
  std::fputs(ToText(summary).c_str(), stdout);
  if (options.json_file.empty()) return absl::OkStatus();
  return WriteFile(
      options.json_file,
      ToJson(summary).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void AddTrafficFlags(CLI::App& command, SimulateOptions* options) {
  command.option_defaults()->group("Traffic: a trace, or random arrivals");
  CLI::Option* trace =
      command
          .add_option("--trace", options->trace_file,
                      "Requests to replay, one JSON object a line: {\"at_ms\": 12.5, \"tokens\": "
                      "128}, where tokens may be a list with one number for each sequence, and "
                      "\"priority\", \"client\" and \"timeout_ms\" may follow")
          ->type_name("FILE");
  command
      .add_option("--poisson", options->synthetic.rate,
                  "Requests per second that come independently of each other, instead of a trace")
      ->type_name("RATE")
      ->check(CLI::PositiveNumber)
      ->excludes(trace);
  command.add_option("--seconds", options->synthetic.seconds, "How long they come")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  config::AddParsedOption(
      command, "--lengths", &options->synthetic.lengths,
      [](const std::string& text) { return simulation::ParseLengths(text); }, "RANGES", "16-128",
      "Their tokens: a number, a range, or several with commas and weights like 16-64x9,512");
  command.add_option("--clients", options->synthetic.clients, "Clients that they come from")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command
      .add_option("--timeout-ms", options->timeout_ms, "Their deadline after they came; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{3'600'000}));
  command.add_option("--seed", options->synthetic.seed, "Of their times and lengths")
      ->capture_default_str();
  command
      .add_option("--save-trace", options->save_trace, "Write the traffic to this file as a trace")
      ->type_name("FILE");
}

void AddCostFlags(CLI::App& command, SimulateOptions* options) {
  command.option_defaults()->group("How long a batch takes");
  CLI::Option* bench =
      command
          .add_option("--bench", options->bench_file,
                      "Fit it to the rows of this report of `reprise bench --json`; a few batch "
                      "sizes and lengths make a good fit")
          ->type_name("FILE");
  command.add_option("--bench-plan", options->bench_plan, "Only rows of this reuse plan")
      ->type_name("PLAN")
      ->needs(bench);
  command.add_option("--bench-precision", options->bench_precision, "Only rows of this precision")
      ->type_name("fp32|bf16")
      ->needs(bench);
  const auto number = [&](const char* name, double* target, const char* help) {
    return command.add_option(name, *target, help)
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1e9));
  };
  number("--batch-us", &options->cost.fixed_us, "Microseconds of each batch")->excludes(bench);
  number("--token-us", &options->cost.per_token_us, "Microseconds of each token")->excludes(bench);
  number("--square-ns", &options->cost.per_square_ns,
         "Nanoseconds for the square of each sequence's length")
      ->excludes(bench);
  command
      .add_option("--jitter", options->jitter,
                  "Make each batch longer or shorter by up to this share of its time")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 0.9));
  command
      .add_option("--score-bytes-per-square", options->score_bytes_per_square,
                  "Bytes of attention scores for the square of a sequence's length: score "
                  "matrices kept x bytes of a score; for the limits on score bytes")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 20));
}

ExitStatus RunSimulate(const SimulateOptions& options) {
  const absl::Status status = RunSimulation(options);
  if (status.ok()) return kExitOk;
  std::fprintf(stderr, "simulate: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitFailed;
}

}  // namespace

void AddSimulateCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "simulate", "Run a traffic through the batching policy in simulated time, to tune its flags");
  auto options = std::make_shared<SimulateOptions>();
  AddTrafficFlags(*command, options.get());
  AddCostFlags(*command, options.get());
  command->option_defaults()->group("What to tell");
  command->add_option("--json", options->json_file, "Write the results to this file")
      ->type_name("FILE");
  command->option_defaults()->group("Execution");
  command->add_option("--executors", options->executors, "Batches that run at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  config::AddBatchingFlags(*command, &options->batching);
  command->callback([options, exit_status] {
    if (options->trace_file.empty() && options->synthetic.rate == 0) {
      throw CLI::RequiredError("--trace or --poisson");
    }
    const BatchCost& cost = options->cost;
    if (options->bench_file.empty() &&
        cost.fixed_us + cost.per_token_us + cost.per_square_ns == 0) {
      throw CLI::RequiredError("--bench, or --token-us");
    }
    *exit_status = RunSimulate(*options);
  });
}

}  // namespace reprise::server::commands
