// reprise_load: puts load on a server and says what became of it.
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/check.h"
#include "loadtest/generator/capacity_search.h"
#include "loadtest/generator/load_options.h"
#include "loadtest/generator/load_plan.h"
#include "loadtest/generator/load_report.h"
#include "loadtest/generator/load_run.h"
#include "loadtest/generator/report_page.h"
#include "loadtest/generator/verdict.h"
#include "server/commands/exit_status.h"
#include "server/commands/progress_bar.h"
#include "server/commands/whole_file.h"
#include "server/config/option_parsers.h"

namespace {

using namespace reprise::loadtest;          // what this program is for
using namespace reprise::server::commands;  // exit status, progress bar
using reprise::server::config::AddParsedOption;
namespace simulation = reprise::server::simulation;

// A rate counts as borne if so many of the calls are answered OK.
constexpr double kShareThatMustBeOk = 0.99;
constexpr int kCallersOfTheGuess = 64;

struct Settings {
  LoadOptions load;
  std::string trace_file, texts_file, json_file, html_file;
  Expectations expectations;
  bool search = false;
  double precision = 0.03;
  std::string command;
};

template <typename Duration>
CLI::Option* AddMilliseconds(CLI::App& app, const std::string& name, Duration* target,
                             const std::string& help) {
  return app
      .add_option_function<std::int64_t>(
          name, [target](std::int64_t value) { *target = Duration(value); }, help)
      ->default_str(std::to_string(target->count()))
      ->type_name("MS");
}

void AddContentFlags(CLI::App& app, Settings* settings) {
  LoadOptions& load = settings->load;
  app.option_defaults()->group("What is sent");
  app.add_option("--address", load.address, "Host and gRPC port of the server")
      ->capture_default_str();
  app.add_option("--model", load.model, "Model to ask")->required();
  app.add_option("--output", load.output, "Output to ask for")->capture_default_str();
  AddParsedOption(
      app, "--lengths,--seq-len", &load.lengths,
      [](const std::string& text) { return simulation::ParseLengths(text); }, "RANGES", "128",
      "Tokens of each call: a number, a range, or several with commas and weights like "
      "16-64x9,512");
  app.add_option("--vocab-size", load.vocab_size, "Ids are below this")->capture_default_str();
  app.add_option("--texts", settings->texts_file,
                 "Send the lines of this file instead of ids, in random order")
      ->type_name("FILE");
  app.add_option("--connections", load.connections, "HTTP/2 connections")->capture_default_str();
  AddMilliseconds(app, "--deadline-ms", &load.deadline,
                  "Deadline of each call after it was due; 0: none");
  app.add_option("--seed", load.seed, "Of lengths, ids, texts and arrivals")->capture_default_str();
}

void AddArrivalFlags(CLI::App& app, Settings* settings) {
  LoadOptions& load = settings->load;
  app.option_defaults()->group("When");
  auto* rate = app.add_option("--rate", load.rate,
                              "Calls per second, whatever the answers (open loop); 0: each caller "
                              "sends when it has its answer (closed loop)")
                   ->capture_default_str();
  AddParsedOption(
      app, "--arrival", &load.pattern,
      [](const std::string& text) { return simulation::ParseArrivalPattern(text); },
      "poisson|constant|burst", "poisson",
      "How they come: independent of each other, evenly spaced, or in bursts of the mean rate");
  AddMilliseconds(app, "--burst-on-ms", &load.burst_on, "Length of a burst");
  AddMilliseconds(app, "--burst-off-ms", &load.burst_off, "Pause between bursts");
  app.add_option("--trace", settings->trace_file,
                 "Calls at the times and with the lengths of this file, as `reprise simulate` "
                 "reads and writes: {\"at_ms\": 12.5, \"tokens\": 128} on each line")
      ->type_name("FILE")
      ->excludes(rate);
  app.add_option("--client-key", load.client_key,
                 "Send the clients that a trace names as this metadata key");
  app.add_option("--concurrency", load.concurrency, "Callers of a closed loop")
      ->capture_default_str();
  AddMilliseconds(app, "--warm-up-ms", &load.warm_up, "Calls due before this are not counted");
  AddMilliseconds(app, "--duration-ms", &load.duration, "Time that is counted");
  app.add_option("--max-calls", load.max_calls, "End after this many calls; 0: no limit")
      ->capture_default_str();
  AddMilliseconds(app, "--drain-ms", &load.drain,
                  "After the end, answers to calls without a deadline are waited for");
}

void AddVerdictFlags(CLI::App& app, Settings* settings) {
  app.option_defaults()->group("What is expected, and written");
  auto* slo = app.add_option("--slo-p99-ms", settings->expectations.p99_ms,
                             "Status 3 if the p99 of calls answered OK is longer; 0: any")
                  ->capture_default_str()
                  ->check(CLI::NonNegativeNumber);
  app.add_option("--allow", settings->expectations.allowed,
                 "Codes that do not mean status 4, like RESOURCE_EXHAUSTED,DEADLINE_EXCEEDED")
      ->delimiter(',')
      ->type_name("CODES");
  app.add_flag("--search", settings->search,
               "Find the highest --arrival rate at which the p99 is within --slo-p99-ms and 99 % "
               "of the calls are answered OK; each probe takes --duration-ms. The report is that "
               "of the highest rate that was borne")
      ->needs(slo)
      ->excludes(app.get_option("--trace"));
  app.add_option("--precision", settings->precision, "Of the search: 0.03 is 3 %")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1.0));
  app.add_option("--json", settings->json_file, "Also write the report to this file")
      ->type_name("FILE");
  app.add_option("--html", settings->html_file, "Also write a page with charts to this file")
      ->type_name("FILE");
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write '", path, "': is the folder there?"));
}

absl::Status ReadFiles(Settings* settings) {
  if (!settings->trace_file.empty()) {
    REPRISE_ASSIGN_OR_RETURN(settings->load.trace, ReadWholeFile(settings->trace_file));
    if (settings->load.trace.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("'", settings->trace_file, "' is empty"));
    }
  }
  if (settings->texts_file.empty()) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(const std::string texts, ReadWholeFile(settings->texts_file));
  settings->load.texts = absl::StrSplit(texts, '\n', absl::SkipWhitespace());
  if (!settings->load.texts.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", settings->texts_file, "' has no text; expected one on each line"));
}

absl::StatusOr<LoadReport> RunOnce(const LoadOptions& load, const std::string& what) {
  REPRISE_ASSIGN_OR_RETURN(const LoadPlan plan, MakeLoadPlan(load));
  ProgressBar bar(what);
  REPRISE_ASSIGN_OR_RETURN(const LoadOutcome outcome, RunLoad(load, plan, [&bar](double part) {
                             bar.Show(static_cast<int>(part * 100), 100);
                           }));
  return MakeReport(outcome);
}

struct Measured {
  LoadReport report;
  double capacity = 0;  // calls per second; 0: not looked for
};

// Probes print a line each; the report returned is the one of the highest rate that was borne.
absl::StatusOr<Measured> Search(const Settings& settings) {
  LoadOptions closed = settings.load;
  closed.rate = 0;
  closed.concurrency = kCallersOfTheGuess;
  REPRISE_ASSIGN_OR_RETURN(const LoadReport guess, RunOnce(closed, "closed loop"));
  if (guess.ok.count() == 0) {
    std::fputs(guess.ToText().c_str(), stdout);
    return absl::FailedPreconditionError("no call was answered OK, so there is no rate to find");
  }
  std::printf("%d callers in a closed loop: %.1f OK per second\n", kCallersOfTheGuess,
              guess.ok_per_second());
  Measured best;
  const auto bears = [&](double rate) -> absl::StatusOr<bool> {
    LoadOptions probe = settings.load;
    probe.rate = rate;
    REPRISE_ASSIGN_OR_RETURN(LoadReport report, RunOnce(probe, "probe"));
    const double p99_ms = Milliseconds(report.ok.Percentile(99));
    const bool borne =
        report.ok_share() >= kShareThatMustBeOk && p99_ms <= settings.expectations.p99_ms;
    std::printf("%9.1f calls per second: p99 %.2f ms, %.2f %% OK: %s%s\n", rate, p99_ms,
                100 * report.ok_share(), borne ? "borne" : "too much",
                report.valid() ? "" : " (INVALID: sent late)");
    std::fflush(stdout);
    // A late generator made the latencies longer, not shorter: a rate that was borne, was.
    if (borne) best.report = std::move(report);
    return borne;
  };
  REPRISE_ASSIGN_OR_RETURN(best.capacity,
                           FindCapacity(0.8 * guess.ok_per_second(), settings.precision, bears));
  std::printf("capacity: %.1f calls per second\n", best.capacity);
  return best;
}

absl::StatusOr<Measured> Measure(const Settings& settings) {
  if (settings.search) return Search(settings);
  Measured measured;
  REPRISE_ASSIGN_OR_RETURN(measured.report, RunOnce(settings.load, "load"));
  return measured;
}

absl::StatusOr<Verdict> Run(Settings* settings) {
  REPRISE_RETURN_IF_ERROR(ReadFiles(settings));
  REPRISE_ASSIGN_OR_RETURN(const Measured measured, Measure(*settings));
  const LoadReport& report = measured.report;
  std::fputs(report.ToText().c_str(), stdout);
  nlohmann::ordered_json json = report.ToJson();
  json["command"] = settings->command;
  if (settings->search) json["capacity_per_second"] = measured.capacity;
  REPRISE_RETURN_IF_ERROR(WriteFile(settings->json_file, json.dump(2) + "\n"));
  REPRISE_RETURN_IF_ERROR(WriteFile(settings->html_file, LoadPage(report, settings->command)));
  std::string why;
  const Verdict verdict = Judge(report, settings->expectations, &why);
  if (!why.empty()) std::fprintf(stderr, "reprise_load: %s\n", why.c_str());
  return verdict;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Puts load on a reprise server, or any server of the Open Inference Protocol, and "
      "prints what became of it",
      "reprise_load");
  app.footer(
      "Exits with 0 when all went as expected, 1 when it could not run, 2 for wrong options, 3 "
      "when "
      "the p99 is longer than --slo-p99-ms, 4 when calls failed in a way that --allow does not "
      "name, "
      "5 when the generator itself was late (more than 1 % of the calls more than 1 ms).");
  Settings settings;
  settings.command = absl::StrJoin(std::vector<std::string>(argv, argv + argc), " ");
  AddContentFlags(app, &settings);
  AddArrivalFlags(app, &settings);
  AddVerdictFlags(app, &settings);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const absl::StatusOr<Verdict> verdict = Run(&settings);
  if (verdict.ok()) return static_cast<int>(*verdict);
  std::fprintf(stderr, "reprise_load: %s\n", std::string(verdict.status().message()).c_str());
  // NotFound: a file that an option names.
  const bool usage =
      absl::IsInvalidArgument(verdict.status()) || absl::IsNotFound(verdict.status());
  return usage ? kExitUsage : kExitFailed;
}
