#include "server/commands/analyze.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/analysis/attention_maps.h"
#include "engine/analysis/head_pairs.h"
#include "engine/analysis/report_page.h"
#include "engine/analysis/similarity_report.h"
#include "engine/check.h"
#include "engine/device/cpu/cores.h"
#include "engine/weights/checkpoint.h"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/fingerprint.h"
#include "server/commands/measure_heads.h"
#include "server/commands/similarity_run.h"
#include "server/commands/state_file.h"
#include "server/commands/text_sample.h"
#include "server/commands/token_names.h"
#include "server/commands/whole_file.h"
#include "server/config/option_parsers.h"
#include "server/pipeline/tokenizer/tokenizer.h"

namespace reprise::server::commands {
namespace {

using engine::analysis::HeadPair;
using engine::analysis::SimilarityReport;
using engine::analysis::SimilarityTable;

struct AnalyzeOptions {
  std::string model;
  TextSampleOptions sample;
  int threads = engine::device::UsableCores();
  std::string json_file;
  std::string html_file;
  std::vector<HeadPair> pairs;  // empty: the best of neighbouring layers
  std::string pair_text;        // empty: one of the sample
  double budget = 0.25;
  std::optional<std::uint64_t> baseline = 1;  // seed of the random weights; nothing: none
  std::string state_file;
  double save_every_secs = 30;

  bool writes_report() const { return !json_file.empty() || !html_file.empty(); }
  bool measures_random() const { return baseline.has_value() && writes_report(); }
};

std::string DrawBestPairs(const SimilarityTable& table) {
  const std::vector<double> best = table.BestPairs();
  std::string text =
      "Most alike pair of heads of two layers (1: the same attention, 0: other keys):\n      ";
  char cell[16];
  for (int layer = 0; layer < table.layers(); ++layer) {
    std::snprintf(cell, sizeof(cell), "%6d", layer + 1);
    text += cell;
  }
  for (int row = 0; row < table.layers(); ++row) {
    std::snprintf(cell, sizeof(cell), "\n%6d", row + 1);
    text += cell;
    for (int column = 0; column < table.layers(); ++column) {
      std::snprintf(cell, sizeof(cell), "%6.2f", best[row * table.layers() + column]);
      text += cell;
    }
  }
  return text + "\n";
}

absl::StatusOr<std::optional<std::uint64_t>> ParseBaseline(std::string_view text) {
  if (text == "off") return std::optional<std::uint64_t>();
  std::uint64_t seed = 0;
  if (!absl::SimpleAtoi(std::string(text), &seed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(text), "' is neither a seed (a whole number) nor off"));
  }
  return std::optional(seed);
}

// What can be known to be wrong before anything takes long.
absl::Status CheckOptions(const AnalyzeOptions& options,
                          const engine::architectures::BertConfig& config) {
  for (const HeadPair& pair : options.pairs) {
    REPRISE_RETURN_IF_ERROR(
        engine::analysis::CheckHeadPair(pair, config.num_layers, config.num_heads));
  }
  if (config.num_layers > 1) {
    const SimilarityTable empty(config.num_layers, config.num_heads);
    REPRISE_RETURN_IF_ERROR(engine::analysis::ChooseReuse(empty, options.budget).status());
  }
  for (const std::string& file : {options.json_file, options.html_file, options.state_file}) {
    const std::filesystem::path folder = std::filesystem::path(file).parent_path();
    std::error_code error;
    if (folder.empty() || std::filesystem::is_directory(folder, error)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("there is no folder '", folder.string(), "' to write '", file, "' into"));
  }
  return absl::OkStatus();
}

// The text whose attention is drawn: the one that was asked for, else the first of those closest to
// a length that can be read at a glance. Cut to what a picture has room for.
absl::StatusOr<std::vector<std::int32_t>> PairText(const AnalyzeOptions& options,
                                                   const TokenizedTexts& texts,
                                                   std::int64_t max_tokens) {
  constexpr std::int64_t kMostTokens = 48, kGoodTokens = 20;
  const std::int64_t most = std::min(kMostTokens, max_tokens);
  if (!options.pair_text.empty()) {
    const std::string path = (std::filesystem::path(options.model) / "tokenizer.json").string();
    REPRISE_ASSIGN_OR_RETURN(const auto tokenizer, pipeline::Tokenizer::FromFile(path));
    auto encoding = tokenizer->Encode(options.pair_text, static_cast<std::size_t>(most));
    if (encoding.ok()) return std::move(encoding->ids);
    return absl::Status(encoding.status().code(),
                        absl::StrCat("--pair-text: ", std::string(encoding.status().message())));
  }
  const auto distance = [&](const auto& text) {
    return std::abs(static_cast<std::int64_t>(text.size()) - kGoodTokens);
  };
  std::vector<std::int32_t> text =
      *std::min_element(texts.begin(), texts.end(),
                        [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  // The end, a special token with most models, stays.
  if (static_cast<std::int64_t>(text.size()) > most) {
    text.erase(text.begin() + most - 1, text.end() - 1);
  }
  return text;
}

// What is measured on, and the text that is drawn.
struct Sample {
  TokenizedTexts texts;
  std::int64_t max_tokens = 0;  // that they were cut to
  std::vector<std::int32_t> pair_text;
};

absl::StatusOr<Sample> DrawSample(const AnalyzeOptions& options,
                                  const engine::architectures::BertConfig& config) {
  TextSampleOptions drawing = options.sample;
  drawing.max_tokens = std::min<std::int64_t>(drawing.max_tokens, config.max_position_embeddings);
  Sample sample;
  sample.max_tokens = drawing.max_tokens;
  REPRISE_ASSIGN_OR_RETURN(sample.texts, DrawTexts(options.model, drawing));
  REPRISE_ASSIGN_OR_RETURN(sample.pair_text, PairText(options, sample.texts, sample.max_tokens));
  return sample;
}

// `state` is null without --resume.
absl::Status OpenState(const AnalyzeOptions& options, const LoadedCheckpoint& model,
                       const TokenizedTexts& texts, StateFile* state) {
  if (state == nullptr) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(const auto checkpoint, engine::weights::Checkpoint::Open(options.model));
  return state->Open({.model = FingerprintOf(model.config, *checkpoint),
                      .texts = FingerprintOf(texts),
                      .num_texts = static_cast<std::int64_t>(texts.size()),
                      .layers = model.config.num_layers,
                      .heads = model.config.num_heads,
                      .tables = {}});
}

constexpr char kTrained[] = "trained";
std::string RandomName(std::uint64_t seed) { return absl::StrCat("random weights ", seed); }

absl::Status AnnounceAll(const AnalyzeOptions& options, const LoadedCheckpoint& model,
                         const TokenizedTexts& texts, const StateFile* state) {
  std::vector<std::int64_t> done = {state != nullptr ? state->Begun(kTrained).texts() : 0};
  if (options.measures_random()) {
    done.push_back(state != nullptr ? state->Begun(RandomName(*options.baseline)).texts() : 0);
  }
  std::int64_t all = 0;
  for (const std::int64_t one : done) all += one;
  if (all > 0) {
    std::printf("%s has %lld of %zu texts already\n", options.state_file.c_str(),
                static_cast<long long>(all), done.size() * texts.size());
  }
  return AnnounceSimilarity(model, texts, options.threads, done);
}

// What the report shows beside the measurement itself.
absl::Status AddMapsAndReuse(const AnalyzeOptions& options, const LoadedCheckpoint& model,
                             const std::vector<std::int32_t>& text, SimilarityReport* report) {
  REPRISE_ASSIGN_OR_RETURN(
      report->maps, engine::analysis::CaptureMaps(
                        model.config, model.weights, text, TokenNames(options.model, text),
                        options.pairs.empty() ? engine::analysis::BestNeighbourPairs(report->table)
                                              : options.pairs));
  if (model.config.num_layers == 1) return absl::OkStatus();
  REPRISE_ASSIGN_OR_RETURN(report->reuse,
                           engine::analysis::ChooseReuse(report->table, options.budget));
  return absl::OkStatus();
}

// Measures the model, then one with random weights: never both in memory.
absl::StatusOr<SimilarityReport> Measure(const AnalyzeOptions& options, LoadedCheckpoint model,
                                         const Sample& sample, StateFile* state) {
  const auto measure = [&](const std::string& name) {
    return MeasureSimilarityInPieces(model.config, model.weights, sample.texts, options.threads,
                                     name, state);
  };
  REPRISE_ASSIGN_OR_RETURN(SimilarityTable table, measure(kTrained));
  SimilarityReport report = {
      .subject = {std::filesystem::path(options.model).lexically_normal().string(),
                  TokensOf(sample.texts), sample.max_tokens},
      .table = std::move(table),
      .random = {},
      .maps = {},
      .reuse = {}};
  if (!options.writes_report()) return report;
  REPRISE_RETURN_IF_ERROR(AddMapsAndReuse(options, model, sample.pair_text, &report));
  if (!options.measures_random()) return report;
  model.weights = {};
  REPRISE_ASSIGN_OR_RETURN(model.weights, RandomWeights(model.config, *options.baseline));
  REPRISE_ASSIGN_OR_RETURN(SimilarityTable random, measure(RandomName(*options.baseline)));
  report.random = engine::analysis::RandomBaseline{*options.baseline, std::move(random)};
  return report;
}

absl::Status WriteReport(const AnalyzeOptions& options, const SimilarityReport& report) {
  if (!options.json_file.empty()) {
    REPRISE_RETURN_IF_ERROR(WriteWholeFile(
        options.json_file,
        ToJson(report).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
    std::printf("Wrote the table to %s.\n", options.json_file.c_str());
  }
  if (!options.html_file.empty()) {
    REPRISE_RETURN_IF_ERROR(WriteWholeFile(options.html_file, ToHtml(report)));
    std::printf("Wrote the report to %s.\n", options.html_file.c_str());
  }
  return absl::OkStatus();
}

absl::Status Analyze(const AnalyzeOptions& options, StateFile* state) {
  REPRISE_ASSIGN_OR_RETURN(LoadedCheckpoint model, LoadCheckpoint(options.model));
  REPRISE_RETURN_IF_ERROR(CheckOptions(options, model.config));
  REPRISE_ASSIGN_OR_RETURN(const Sample sample, DrawSample(options, model.config));
  REPRISE_RETURN_IF_ERROR(OpenState(options, model, sample.texts, state));
  REPRISE_RETURN_IF_ERROR(AnnounceAll(options, model, sample.texts, state));
  REPRISE_ASSIGN_OR_RETURN(const SimilarityReport report,
                           Measure(options, std::move(model), sample, state));
  std::fputs(DrawBestPairs(report.table).c_str(), stdout);
  return WriteReport(options, report);
}

int RunAnalyze(const AnalyzeOptions& options) {
  std::unique_ptr<StateFile> state;
  if (!options.state_file.empty()) {
    state = std::make_unique<StateFile>(options.state_file, options.save_every_secs);
  }
  const absl::Status status = Analyze(options, state.get());
  const ExitStatus exit_status = Report("analyze", status);
  const bool interrupted = !status.ok() && state != nullptr && state->signal() != 0;
  return interrupted ? 128 + state->signal() : int{exit_status};  // as a shell has it
}

void AddReportFlags(CLI::App& command, AnalyzeOptions* options) {
  command.option_defaults()->group("In the report");
  config::AddParsedList(
      command, "--pair", &options->pairs, engine::analysis::ParseHeadPair, "L.H:L.H", "",
      "Two heads, by layer and head from 1, whose attention on one text is drawn; several with "
      "commas or by repeating the flag; default: the most alike of each two neighbouring layers");
  command
      .add_option("--pair-text", options->pair_text,
                  "The text for that; default: a short one of those drawn, which the report shows")
      ->type_name("TEXT");
  command
      .add_option("--budget", options->budget,
                  "Share of all heads that reuse scores in the grid of what a plan would reuse")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  config::AddParsedOption(command, "--random-baseline", &options->baseline, ParseBaseline,
                          "SEED|off", "1",
                          "Measure the same model with random weights too, which takes as long "
                          "again");
}

void AddResumeFlags(CLI::App& command, AnalyzeOptions* options) {
  command.option_defaults()->group("Long runs");
  CLI::Option* resume =
      command
          .add_option("--resume", options->state_file,
                      "Keep what has been measured in this file, and go on from it if it is there: "
                      "after SIGINT, SIGTERM or worse, the same command goes on")
          ->type_name("FILE");
  command.add_option("--save-every-secs", options->save_every_secs, "How often to write that file")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86400.0))
      ->needs(resume);
}

}  // namespace

void AddAnalyzeCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "analyze", "Tell how alike a model's heads attend: which could reuse another's scores");
  auto options = std::make_shared<AnalyzeOptions>();
  command->add_option("model", options->model, "Checkpoint folder, of an ordinary model")
      ->required()
      ->type_name("DIR");
  AddTextFlags(*command, &options->sample)->required();
  command->add_option("--threads", options->threads, "Texts that run at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_option("--json", options->json_file, "Write the whole table to this file")
      ->type_name("FILE");
  command->add_option("--html", options->html_file, "Write a report with pictures to this file")
      ->type_name("FILE");
  AddReportFlags(*command, options.get());
  AddResumeFlags(*command, options.get());
  command->callback([options, exit_status] { *exit_status = RunAnalyze(*options); });
}

}  // namespace reprise::server::commands
