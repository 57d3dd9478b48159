#include "server/commands/convert.h"

#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "engine/analysis/convert.h"
#include "engine/architectures/bert_config.h"
#include "engine/check.h"
#include "server/commands/exit_status.h"
#include "server/commands/plan_name.h"
#include "server/commands/progress_bar.h"
#include "server/commands/quantity_text.h"

namespace reprise::server::commands {
namespace {

struct ConvertOptions {
  std::string model;
  std::string output;
  int heads = 0;
  int layers = 0;
  std::string plan;
};

std::string PlanNameOf(const ConvertOptions& options) {
  return options.plan.empty() ? absl::StrCat(options.heads, "x", options.layers) : options.plan;
}

std::string Reduction(double before, double after) {
  if (before <= 0) return "";
  return absl::StrCat(" (", static_cast<int>(100 * (before - after) / before + 0.5), " % less)");
}

void PrintReport(const ConvertOptions& options, const engine::analysis::ConversionReport& report) {
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
  std::puts(
      "Not calibrated: heads were chosen by position and no weight was adjusted, so the model "
      "answers differently\nfrom the one it was made of. It has the right cost and is a starting "
      "point for training.");
}

absl::StatusOr<engine::analysis::ConversionReport> Convert(const ConvertOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const auto config, engine::architectures::ReadBertConfig(options.model));
  engine::analysis::ConversionOptions conversion;
  conversion.input_directory = options.model;
  conversion.output_directory = options.output;
  REPRISE_ASSIGN_OR_RETURN(conversion.plan,
                           PlanByName(PlanNameOf(options), config.num_layers, config.num_heads));
  ProgressBar progress("converting");
  conversion.progress = [&progress](int done, int total) { progress.Show(done, total); };
  return engine::analysis::ConvertStructurally(conversion);
}

ExitStatus RunConvert(const ConvertOptions& options) {
  const auto report = Convert(options);
  if (!report.ok()) {
    std::fprintf(stderr, "convert: %s\n", std::string(report.status().message()).c_str());
    return report.status().code() == absl::StatusCode::kInvalidArgument ? kExitUsage : kExitFailed;
  }
  PrintReport(options, *report);
  return kExitOk;
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
  command->callback([options, heads, plan, exit_status] {
    if (heads->count() + plan->count() == 0) {
      throw CLI::RequiredError("--heads and --layers, or --plan");
    }
    *exit_status = RunConvert(*options);
  });
}

}  // namespace reprise::server::commands
