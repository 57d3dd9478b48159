#include "server/commands/convert.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "engine/analysis/convert.h"
#include "engine/analysis/source_choice.h"
#include "engine/architectures/bert_config.h"
#include "engine/check.h"
#include "engine/device/cpu/cores.h"
#include "nlohmann/json.hpp"
#include "server/commands/conversion_quality.h"
#include "server/commands/exit_status.h"
#include "server/commands/measure_heads.h"
#include "server/commands/plan_name.h"
#include "server/commands/progress_bar.h"
#include "server/commands/quantity_text.h"
#include "server/commands/text_sample.h"
#include "server/commands/whole_file.h"
#include "server/config/option_parsers.h"

namespace reprise::server::commands {
namespace {

// What makes a head a good source for another.
enum class Criterion { kOutputError, kSimilarity };

absl::StatusOr<Criterion> ParseCriterion(std::string_view text) {
  if (text == "output-error") return Criterion::kOutputError;
  if (text == "similarity") return Criterion::kSimilarity;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text), "' is unknown; expected output-error, similarity"));
}

struct ConvertOptions {
  std::string model;
  std::string output;
  int heads = 0;
  int layers = 0;
  std::string plan;
  // By what texts say, instead:
  std::optional<double> budget;  // share of the score matrices to reuse
  Criterion criterion = Criterion::kOutputError;
  TextSampleOptions sample;
  double min_quality = 0.95;
  bool force = false;
  int threads = engine::device::UsableCores();
};

// One text in so many is kept for the judgement.
constexpr std::size_t kJudgedOneIn = 5;
constexpr std::size_t kLeastTexts = 50;

std::string PlanNameOf(const ConvertOptions& options) {
  return options.plan.empty() ? absl::StrCat(options.heads, "x", options.layers) : options.plan;
}

std::string Reduction(double before, double after) {
  if (before <= 0) return "";
  return absl::StrCat(" (", static_cast<int>(100 * (before - after) / before + 0.5), " % less)");
}

void PrintSavings(const ConvertOptions& options, const engine::analysis::ConversionReport& report) {
  std::printf("%s: %d of %d heads take their attention scores from an earlier layer",
              options.output.c_str(), report.reused_heads, report.heads);
  if (report.layers_without_attention > 0) {
    std::printf(", %d layers have no attention", report.layers_without_attention);
  }
  std::printf("\nparameters %s -> %s%s\n",
              CountText(static_cast<double>(report.parameters_before)).c_str(),
              CountText(static_cast<double>(report.parameters_after)).c_str(),
              Reduction(static_cast<double>(report.parameters_before),
                        static_cast<double>(report.parameters_after))
                  .c_str());
  std::printf("weights    %s -> %s\n",
              ByteText(static_cast<std::int64_t>(report.weight_bytes_before)).c_str(),
              ByteText(static_cast<std::int64_t>(report.weight_bytes_after)).c_str());
}

void PrintNotCalibrated() {
  std::puts(
      "Not calibrated: heads were chosen by position and no weight was adjusted, so the model "
      "answers differently\nfrom the one it was made of. It has the right cost and is a starting "
      "point for training.");
}

void PrintQuality(const ConversionQuality& quality) {
  std::printf(
      "%lld held-out texts, against the original: cosine %.4f on average, %.4f at the fifth "
      "percentile; nearest neighbour the same for %.0f %%\n",
      static_cast<long long>(quality.texts), quality.mean_cosine, quality.fifth_percentile,
      100 * quality.neighbour_agreement);
}

// A plan chosen by texts, and what is known of each reusing head.
struct Choice {
  engine::reuse::ReusePlan plan;
  std::vector<double> value_scales;  // empty: all 1
  nlohmann::ordered_json reused_heads = nlohmann::ordered_json::array();
};

// The choice whose sum of costs is small; `tell` adds what there is to say of a head and its
// source.
absl::StatusOr<Choice> Choose(
    const LoadedCheckpoint& model, const ConvertOptions& options,
    const std::function<double(int target, int source)>& cost,
    const std::function<void(int target, int source, nlohmann::ordered_json* head)>& tell) {
  const int layers = model.config.num_layers, heads = model.config.num_heads;
  const int reused = static_cast<int>(std::lround(*options.budget * layers * heads));
  Choice choice;
  REPRISE_ASSIGN_OR_RETURN(choice.plan,
                           engine::analysis::ChooseSources(layers, heads, reused, cost));
  for (int head = 0; head < layers * heads; ++head) {
    const engine::reuse::HeadRef source = choice.plan.source(head / heads, head % heads);
    const int number = source.layer * heads + source.head;
    if (number == head) continue;
    nlohmann::ordered_json described = {{"layer", head / heads},
                                        {"head", head % heads},
                                        {"source_layer", source.layer},
                                        {"source_head", source.head}};
    tell(head, number, &described);
    choice.reused_heads.push_back(std::move(described));
  }
  return choice;
}

absl::StatusOr<Choice> ChooseBySimilarity(const LoadedCheckpoint& model,
                                          const TokenizedTexts& texts,
                                          const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const engine::analysis::SimilarityTable table,
                           MeasureSimilarity(model, texts, options.threads));
  return Choose(
      model, options, [&](int target, int source) { return 1 - table.mean(target, source); },
      [&](int target, int source, auto* head) {
        (*head)["similarity"] = table.mean(target, source);
      });
}

// A reusing head's values are multiplied by what makes its output most like before.
absl::StatusOr<Choice> ChooseByOutputError(const LoadedCheckpoint& model,
                                           const TokenizedTexts& texts,
                                           const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const engine::analysis::OutputErrors errors,
                           MeasureOutputErrors(model, texts, options.threads));
  std::vector<double> scales(model.config.num_layers * model.config.num_heads, 1);
  REPRISE_ASSIGN_OR_RETURN(
      Choice choice,
      Choose(
          model, options, [&](int target, int source) { return errors.error(target, source); },
          [&](int target, int source, auto* head) {
            scales[target] = errors.scale(target, source);
            (*head)["output_error"] = errors.error(target, source);
            (*head)["value_scale"] = errors.scale(target, source);
          }));
  choice.value_scales = std::move(scales);
  return choice;
}

// What was chosen by and how good it is, for conversion.json.
nlohmann::ordered_json Describe(const ConvertOptions& options, const Choice& choice,
                                std::size_t texts, const ConversionQuality& quality) {
  return {
      {"chosen_by", options.criterion == Criterion::kSimilarity ? "similarity" : "output-error"},
      {"budget", *options.budget},
      {"texts",
       {{"chosen_on", texts},
        {"max_texts", options.sample.max_texts},
        {"max_tokens", options.sample.max_tokens},
        {"seed", options.sample.seed}}},
      {"reused_heads", choice.reused_heads},
      {"quality", ToJson(quality)}};
}

absl::Status WriteDescription(const std::string& directory, const nlohmann::ordered_json& text) {
  return WriteWholeFile((std::filesystem::path(directory) / "conversion.json").string(),
                        text.dump(1));
}

absl::Status CheckQuality(const ConvertOptions& options, const ConversionQuality& quality) {
  if (options.force || quality.mean_cosine >= options.min_quality) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the mean cosine to the original's answers is ", quality.mean_cosine,
      " on held-out texts, below --min-quality ", options.min_quality,
      "; nothing was written: lower --budget, or give --force for a model to train on"));
}

// Lets the heads reuse for which the texts say that it costs least, and judges the result on texts
// that were not looked at.
absl::Status ConvertByTexts(const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const LoadedCheckpoint model, LoadCheckpoint(options.model));
  TextSampleOptions sample = options.sample;
  sample.max_tokens =
      std::min<std::int64_t>(sample.max_tokens, model.config.max_position_embeddings);
  REPRISE_ASSIGN_OR_RETURN(const TokenizedTexts all, DrawTexts(options.model, sample));
  if (all.size() < kLeastTexts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are ", all.size(), " texts to choose and to judge by; expected at least ",
        kLeastTexts, ", better 1000"));
  }
  TokenizedTexts chosen_on, judged_on;
  for (std::size_t i = 0; i < all.size(); ++i) {
    (i % kJudgedOneIn == 0 ? judged_on : chosen_on).push_back(all[i]);
  }
  REPRISE_ASSIGN_OR_RETURN(const Choice choice,
                           options.criterion == Criterion::kSimilarity
                               ? ChooseBySimilarity(model, chosen_on, options)
                               : ChooseByOutputError(model, chosen_on, options));
  engine::analysis::ConversionOptions conversion;
  conversion.input_directory = options.model;
  conversion.output_directory = options.output;
  conversion.plan = choice.plan;
  conversion.value_scales = choice.value_scales;
  ConversionQuality quality;
  conversion.before_commit = [&](const std::string& directory) -> absl::Status {
    REPRISE_ASSIGN_OR_RETURN(quality,
                             JudgeConversion(options.model, directory, judged_on, options.threads));
    REPRISE_RETURN_IF_ERROR(CheckQuality(options, quality));
    return WriteDescription(directory, Describe(options, choice, chosen_on.size(), quality));
  };
  ProgressBar progress("converting");
  conversion.progress = [&progress](int done, int total) { progress.Show(done, total); };
  REPRISE_ASSIGN_OR_RETURN(const auto report, engine::analysis::ConvertStructurally(conversion));
  progress.Clear();
  PrintSavings(options, report);
  PrintQuality(quality);
  return absl::OkStatus();
}

// By the places of heads.
absl::Status ConvertByPlan(const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const auto config, engine::architectures::ReadBertConfig(options.model));
  engine::analysis::ConversionOptions conversion;
  conversion.input_directory = options.model;
  conversion.output_directory = options.output;
  REPRISE_ASSIGN_OR_RETURN(conversion.plan,
                           PlanByName(PlanNameOf(options), config.num_layers, config.num_heads));
  ProgressBar progress("converting");
  conversion.progress = [&progress](int done, int total) { progress.Show(done, total); };
  REPRISE_ASSIGN_OR_RETURN(const auto report, engine::analysis::ConvertStructurally(conversion));
  progress.Clear();
  PrintSavings(options, report);
  PrintNotCalibrated();
  return absl::OkStatus();
}

ExitStatus RunConvert(const ConvertOptions& options) {
  const absl::Status status =
      options.budget.has_value() ? ConvertByTexts(options) : ConvertByPlan(options);
  if (status.ok()) return kExitOk;
  std::fprintf(stderr, "convert: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitFailed;
}

}  // namespace

void AddConvertCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "convert", "Make a reuse checkpoint of an ordinary one by leaving weights out");
  auto options = std::make_shared<ConvertOptions>();
  command->add_option("model", options->model, "Checkpoint folder to read")
      ->required()
      ->type_name("DIR");
  command->add_option("--output", options->output, "New folder to write")
      ->required()
      ->type_name("DIR");
  CLI::Option* heads =
      command
          ->add_option("--heads", options->heads,
                       "K: heads of each reuse layer that take the scores of the layer before")
          ->check(CLI::NonNegativeNumber);
  CLI::Option* layers =
      command->add_option("--layers", options->layers, "P: reuse layers, from the second on")
          ->check(CLI::NonNegativeNumber);
  heads->needs(layers);
  layers->needs(heads);
  CLI::Option* plan =
      command
          ->add_option("--plan", options->plan,
                       "Another plan instead: KxP, alternate-P, all_end-P or skip-P")
          ->type_name("PLAN")
          ->excludes(heads)
          ->excludes(layers);
  CLI::Option* budget =
      command
          ->add_option_function<double>(
              "--budget", [options](double share) { options->budget = share; },
              "Share of all heads that are to reuse scores, 0 to 1: the ones for which it costs "
              "least on --text")
          ->check(CLI::Range(0.0, 1.0))
          ->excludes(heads)
          ->excludes(layers)
          ->excludes(plan);
  command->option_defaults()->group("With --budget");
  CLI::Option* text = AddTextFlags(*command, &options->sample);
  config::AddParsedOption(*command, "--by", &options->criterion, ParseCriterion,
                          "output-error|similarity", "output-error",
                          "What makes a head a good source: little change of the layer's output, "
                          "with values scaled for it, or similar attention")
      ->needs(budget);
  budget->needs(text);
  text->needs(budget);
  command
      ->add_option("--min-quality", options->min_quality,
                   "Least mean cosine to the original's answers, on a fifth of the texts that "
                   "nothing was chosen by; below it nothing is written")
      ->capture_default_str()
      ->check(CLI::Range(-1.0, 1.0));
  command->add_flag("--force", options->force, "Write the model whatever its quality");
  command->add_option("--threads", options->threads, "Texts that run at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([options, heads, plan, budget, exit_status] {
    if (heads->count() + plan->count() + budget->count() == 0) {
      throw CLI::RequiredError("--heads and --layers, or --plan, or --budget with --text");
    }
    *exit_status = RunConvert(*options);
  });
}

}  // namespace reprise::server::commands
