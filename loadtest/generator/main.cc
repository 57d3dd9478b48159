// reprise_load: puts load on a server and says what became of it.
#include <cstdio>
#include <fstream>
#include <string>

#include "CLI/CLI.hpp"
#include "loadtest/generator/load_options.h"
#include "loadtest/generator/load_run.h"
#include "server/commands/exit_status.h"
#include "server/commands/progress_bar.h"

namespace {

using reprise::loadtest::LoadOptions;
using namespace reprise::server::commands;  // exit status, progress bar

template <typename Duration>
CLI::Option* AddMilliseconds(CLI::App& app, const std::string& name, Duration* target,
                             const std::string& help) {
  return app
      .add_option_function<std::int64_t>(
          name, [target](std::int64_t value) { *target = Duration(value); }, help)
      ->default_str(std::to_string(target->count()))
      ->type_name("MS");
}

void AddOptions(CLI::App& app, LoadOptions* options, std::string* json) {
  app.add_option("--address", options->address, "Host and gRPC port of the server")
      ->capture_default_str();
  app.add_option("--model", options->model, "Model to ask")->required();
  app.add_option("--output", options->output, "Output to ask for")->capture_default_str();
  app.add_option("--seq-len", options->seq_lens, "Lengths, drawn evenly, with commas between")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--vocab-size", options->vocab_size, "Ids are below this")->capture_default_str();
  app.add_option(
         "--rate", options->rate,
         "Calls per second as a Poisson process, whatever the answers; 0: each caller sends "
         "when it has its answer")
      ->capture_default_str();
  app.add_option("--concurrency", options->concurrency, "Callers, with --rate 0")
      ->capture_default_str();
  app.add_option("--connections", options->connections, "HTTP/2 connections")
      ->capture_default_str();
  AddMilliseconds(app, "--warm-up-ms", &options->warm_up, "Calls sent before this are not counted");
  AddMilliseconds(app, "--duration-ms", &options->duration, "Time that is counted");
  app.add_option("--max-calls", options->max_calls, "End after this many calls; 0: no limit")
      ->capture_default_str();
  AddMilliseconds(app, "--deadline-ms", &options->deadline, "Deadline of each call; 0: none");
  app.add_option("--seed", options->seed, "Of lengths, ids and arrivals")->capture_default_str();
  app.add_option("--json", *json, "Also write the report to this file")->type_name("FILE");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Puts load on a reprise server, or any server of the Open Inference Protocol, and "
      "prints what became of it",
      "reprise_load");
  LoadOptions options;
  std::string json_file;
  AddOptions(app, &options, &json_file);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  ProgressBar bar("load");
  const auto report = reprise::loadtest::RunLoad(
      options, [&bar](double part) { bar.Show(static_cast<int>(part * 100), 100); });
  bar.Clear();
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", std::string(report.status().message()).c_str());
    return absl::IsInvalidArgument(report.status()) ? kExitUsage : kExitFailed;
  }
  std::fputs(report->ToText().c_str(), stdout);
  if (json_file.empty()) return kExitOk;
  std::ofstream file(json_file);
  file << report->ToJson().dump(2) << "\n";
  if (file.flush()) return kExitOk;
  std::fprintf(stderr, "cannot write '%s'\n", json_file.c_str());
  return kExitFailed;
}
