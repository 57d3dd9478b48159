#include "server/commands/convert.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "engine/analysis/convert.h"
#include "engine/architectures/bert_config.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "server/commands/calibrated_conversion.h"
#include "server/commands/conversion_options.h"
#include "server/commands/conversion_sweep.h"
#include "server/commands/exit_status.h"
#include "server/commands/plan_name.h"
#include "server/commands/progress_bar.h"
#include "server/commands/quantity_text.h"
#include "server/config/option_parsers.h"

namespace reprise::server::commands {
namespace {

absl::StatusOr<Criterion> ParseCriterion(std::string_view text) {
  if (text == "sensitivity") return Criterion::kSensitivity;
  if (text == "output-error") return Criterion::kOutputError;
  if (text == "similarity") return Criterion::kSimilarity;
  return absl::InvalidArgumentError(absl::StrCat(
      "'", std::string(text), "' is unknown; expected sensitivity, output-error, similarity"));
}

absl::StatusOr<BudgetKind> ParseBudgetKind(std::string_view text) {
  if (text == "scores") return BudgetKind::kScores;
  if (text == "macs") return BudgetKind::kMacs;
  if (text == "latency") return BudgetKind::kLatency;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text), "' is unknown; expected scores, macs, latency"));
}

absl::StatusOr<bool> ParseRefit(std::string_view text) {
  if (text == "output") return true;
  if (text == "none") return false;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text), "' is unknown; expected output, none"));
}

// A plan by name, or out of a JSON file: what config.json has under attention_reuse, or a file that
// has it there.
absl::StatusOr<engine::reuse::ReusePlan> PlanOf(const ConvertOptions& options, int layers,
                                                int heads) {
  if (options.plan.empty()) {
    return PlanByName(options.variant.empty() ? absl::StrCat(options.heads, "x", options.layers)
                                              : absl::StrCat(options.variant, "-", options.layers),
                      layers, heads);
  }
  std::error_code error;
  if (!std::filesystem::exists(options.plan, error)) {
    return PlanByName(options.plan, layers, heads);
  }
  REPRISE_ASSIGN_OR_RETURN(nlohmann::json json, engine::weights::ReadJsonFile(options.plan));
  if (json.is_object() && json.contains("attention_reuse")) json = json["attention_reuse"];
  auto plan = engine::reuse::ReusePlan::FromJson(json, layers, heads);
  if (plan.ok()) return plan;
  return absl::InvalidArgumentError(
      absl::StrCat("'", options.plan, "': ", std::string(plan.status().message())));
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

void PrintQuality(const std::vector<NamedQuality>& all) {
  for (const auto& [texts, quality] : all) {
    std::printf(
        "%s, %lld texts, against the original: cosine %.4f on average, %.4f at the fifth "
        "percentile; nearest neighbour the same for %.0f %%, of the ten nearest %.0f %%\n",
        texts.c_str(), static_cast<long long>(quality.texts), quality.mean_cosine,
        quality.fifth_percentile, 100 * quality.neighbour_agreement,
        100 * quality.ten_neighbours_agreement);
    if (quality.label_agreement) {
      std::printf("  label the same for %.1f %%\n", 100 * *quality.label_agreement);
    }
  }
}

// Adjusts what reuses by texts, and judges the result on texts that were not looked at.
absl::Status ConvertByTexts(const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const auto converter, CalibratedConverter::Create(options));
  engine::reuse::ReusePlan plan;
  if (options.budget) {
    REPRISE_ASSIGN_OR_RETURN(plan, converter->ChooseForBudget(*options.budget));
  } else {
    REPRISE_ASSIGN_OR_RETURN(
        plan, PlanOf(options, converter->config().num_layers, converter->config().num_heads));
  }
  REPRISE_ASSIGN_OR_RETURN(const CalibratedConversion converted,
                           converter->Convert(plan, options.output));
  PrintSavings(options, converted.report);
  PrintQuality(converted.quality);
  return absl::OkStatus();
}

// By the places of heads.
absl::Status ConvertByPlan(const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const auto config, engine::architectures::ReadBertConfig(options.model));
  engine::analysis::ConversionOptions conversion;
  conversion.input_directory = options.model;
  conversion.output_directory = options.output;
  REPRISE_ASSIGN_OR_RETURN(conversion.plan, PlanOf(options, config.num_layers, config.num_heads));
  ProgressBar progress("converting");
  conversion.progress = [&progress](int done, int total) { progress.Show(done, total); };
  REPRISE_ASSIGN_OR_RETURN(const auto report, engine::analysis::ConvertStructurally(conversion));
  progress.Clear();
  PrintSavings(options, report);
  PrintNotCalibrated();
  return absl::OkStatus();
}

ExitStatus RunConvert(const ConvertOptions& options) {
  const absl::Status status = !options.sweep.empty()          ? SweepBudgets(options)
                              : !options.sample.files.empty() ? ConvertByTexts(options)
                                                              : ConvertByPlan(options);
  return Report("convert", status);
}

struct WhatReuses {
  CLI::Option* heads = nullptr;
  CLI::Option* variant = nullptr;
  CLI::Option* plan = nullptr;
  CLI::Option* budget = nullptr;
  CLI::Option* sweep = nullptr;
};

WhatReuses AddPlanFlags(CLI::App& command, const std::shared_ptr<ConvertOptions>& options) {
  command.option_defaults()->group("Which heads reuse scores");
  WhatReuses what;
  what.budget = command
                    .add_option_function<double>(
                        "--budget", [options](double share) { options->budget = share; },
                        "Share to save, 0 to 1, by the heads for which it costs least on --text")
                    ->check(CLI::Range(0.0, 1.0));
  config::AddParsedOption(command, "--budget-kind", &options->budget_kind, ParseBudgetKind,
                          "scores|macs|latency", "scores",
                          "What it is a share of: all heads' score matrices, the multiply-adds of "
                          "the layers, or the predicted time on this machine's CPU");
  command
      .add_option("--budget-length", options->budget_length,
                  "Tokens of the text that multiply-adds and time are counted for")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 16));
  config::AddParsedOption(command, "--by", &options->criterion, ParseCriterion,
                          "sensitivity|output-error|similarity", "sensitivity",
                          "What makes a head a good source: little change of the model's answers "
                          "(output error times each head's measured sensitivity), of its layer's "
                          "output, or similar attention");
  what.sweep = command
                   .add_option("--sweep", options->sweep,
                               "Budgets to compare, with commas: quality, speed and memory of each "
                               "as sweep.json and sweep.html in --output; keeps no model")
                   ->delimiter(',')
                   ->type_name("F,...")
                   ->check(CLI::Range(0.0, 1.0))
                   ->excludes(what.budget);
  what.plan = command
                  .add_option("--plan", options->plan,
                              "A plan instead: KxP, alternate-P, all_end-P or skip-P, or a JSON "
                              "file with a config's attention_reuse")
                  ->type_name("PLAN|FILE")
                  ->excludes(what.budget)
                  ->excludes(what.sweep);
  what.heads =
      command
          .add_option("--heads", options->heads,
                      "K: heads of each reuse layer that take the scores of the layer before")
          ->check(CLI::NonNegativeNumber)
          ->excludes(what.budget)
          ->excludes(what.sweep)
          ->excludes(what.plan);
  CLI::Option* layers =
      command.add_option("--layers", options->layers, "P: reuse layers, from the second on")
          ->check(CLI::NonNegativeNumber);
  what.variant =
      command
          .add_option(
              "--variant", options->variant,
              "The paper's layout of the P layers: alternate, all_end or skip, of whole layers; "
              "with --layers, without --heads")
          ->check(CLI::IsMember({"alternate", "all_end", "skip"}))
          ->needs(layers)
          ->excludes(what.heads)
          ->excludes(what.plan)
          ->excludes(what.budget);
  what.heads->needs(layers);
  return what;
}

// What is adjusted and judged on texts.
CLI::Option* AddCalibrationFlags(CLI::App& command,
                                 const std::shared_ptr<ConvertOptions>& options) {
  command.option_defaults()->group("With --text: adjusted weights");
  CLI::Option* text = AddTextFlags(command, &options->sample);
  command
      .add_option("--held-out", options->held_out,
                  "Files of texts to judge the model by, one in each line; default: every fifth "
                  "text, which nothing is then chosen or adjusted by")
      ->type_name("FILE")
      ->needs(text);
  config::AddParsedOption(command, "--refit", &options->refit, ParseRefit, "output|none", "output",
                          "Weights to adjust in closed form beside the value scales: the attention "
                          "output projections from the first reusing layer on, or none")
      ->needs(text);
  command
      .add_option("--ridge", options->ridge,
                  "How much the stored projections are trusted against the texts, 0: not at all")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
  command
      .add_option("--min-quality", options->min_quality,
                  "Least mean cosine to the original's answers on the held-out texts; below it "
                  "nothing is written")
      ->capture_default_str()
      ->check(CLI::Range(-1.0, 1.0));
  command.add_flag("--force", options->force, "Write the model whatever its quality");
  return text;
}

}  // namespace

void AddConvertCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "convert", "Make a reuse checkpoint of an ordinary one, by what texts say or by a layout");
  auto options = std::make_shared<ConvertOptions>();
  command->add_option("model", options->model, "Checkpoint folder to read")
      ->required()
      ->type_name("DIR");
  command->add_option("--output", options->output, "New folder to write")
      ->required()
      ->type_name("DIR");
  command->add_option("--threads", options->threads, "Texts that run at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  const WhatReuses what = AddPlanFlags(*command, options);
  CLI::Option* text = AddCalibrationFlags(*command, options);
  what.budget->needs(text);
  what.sweep->needs(text);
  command->callback([options, what, exit_status] {
    if (what.heads->count() + what.variant->count() + what.plan->count() + what.budget->count() +
            what.sweep->count() ==
        0) {
      throw CLI::RequiredError(
          "--budget or --sweep with --text, or --plan, or --heads and --layers");
    }
    *exit_status = RunConvert(*options);
  });
}

}  // namespace reprise::server::commands
