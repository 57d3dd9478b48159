#include "server/commands/golden.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/text_lines.h"
#include "server/commands/whole_file.h"
#include "server/config/option_parsers.h"
#include "server/pipeline/model_outputs.h"
#include "server/repository/golden_file.h"
#include "server/repository/golden_gate.h"
#include "server/repository/servable_loader.h"

namespace reprise::server::commands {
namespace {

namespace fs = std::filesystem;
using repository::GoldenFile;
using repository::GoldenSample;

struct GoldenOptions {
  std::string model;
  std::vector<std::string> texts;
  std::string text_file;
  std::vector<std::string> ids;           // each a list with commas
  std::vector<std::string> output_names;  // empty: what a text gets by default
  engine::Precision precision = engine::Precision::kF32;
  std::optional<double> max_abs;
  double min_cosine = 0.999;
  std::string output;  // empty: golden.json of the model
};

GoldenSample OfText(const std::string& text) {
  GoldenSample sample;
  sample.text = text;
  return sample;
}

absl::StatusOr<GoldenSample> ParseIds(const std::string& list) {
  GoldenSample sample;
  for (const absl::string_view text : absl::StrSplit(list, ',')) {
    if (!absl::SimpleAtoi(text, &sample.input_ids.emplace_back())) {
      return absl::InvalidArgumentError(
          absl::StrCat("--ids is '", list, "', expected integers with commas between them"));
    }
  }
  return sample;
}

absl::StatusOr<std::vector<GoldenSample>> ReadInputs(const GoldenOptions& options) {
  std::vector<GoldenSample> samples;
  for (const std::string& text : options.texts) samples.push_back(OfText(text));
  if (!options.text_file.empty()) {
    REPRISE_ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                             ReadTextLines(options.text_file));
    for (const std::string& line : lines) samples.push_back(OfText(line));
  }
  for (const std::string& ids : options.ids) {
    REPRISE_ASSIGN_OR_RETURN(samples.emplace_back(), ParseIds(ids));
  }
  if (!samples.empty()) return samples;
  return absl::InvalidArgumentError("no sample is given; expected --text, --text-file or --ids");
}

absl::Status WriteGolden(const GoldenOptions& options) {
  GoldenFile golden;
  golden.tolerance = {.max_abs = options.max_abs, .min_cosine = options.min_cosine};
  REPRISE_ASSIGN_OR_RETURN(golden.samples, ReadInputs(options));
  repository::ModelServingOptions serving;
  serving.precision = options.precision;
  serving.warmup_runs = 0;
  const std::string name = fs::path(options.model).filename();
  // Without the gate: the golden.json that is there may be the one to replace.
  REPRISE_ASSIGN_OR_RETURN(const repository::ServableParts parts,
                           repository::LoadUnchecked(name, {1, options.model}, serving));
  REPRISE_ASSIGN_OR_RETURN(
      const pipeline::WantedOutputs wanted,
      pipeline::ChooseOutputs(options.output_names, /*for_text=*/true, parts.outputs));
  for (GoldenSample& sample : golden.samples) {
    REPRISE_ASSIGN_OR_RETURN(
        sample.outputs, repository::Answer(sample, wanted.names, parts, *parts.runners.front()));
  }
  const std::string path = options.output.empty()
                               ? (fs::path(options.model) / repository::kGoldenFile).string()
                               : options.output;
  REPRISE_RETURN_IF_ERROR(WriteWholeFile(path, repository::ToJson(golden).dump()));
  std::printf("%s: %zu samples of %s\n", path.c_str(), golden.samples.size(),
              absl::StrJoin(wanted.names, ", ").c_str());
  return absl::OkStatus();
}

}  // namespace

void AddGoldenCommand(CLI::App& app, int* exit_status) {
  CLI::App* command = app.add_subcommand(
      "golden",
      "Store what a checkpoint answers to sample inputs: a server puts a version with a "
      "golden.json into service only if it answers the same");
  auto options = std::make_shared<GoldenOptions>();
  command->add_option("model", options->model, "Checkpoint folder that answers rightly")
      ->required()
      ->type_name("DIR");
  command->add_option("--text", options->texts, "A sample text; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--text-file", options->text_file, "A file of sample texts, one per line")
      ->type_name("FILE");
  command
      ->add_option("--ids", options->ids,
                   "A sample of token ids with commas between them; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--output-name", options->output_names,
                   "Output to store; may be repeated; default: what a text gets, the sentence "
                   "embedding or else the logits")
      ->allow_extra_args(false);
  config::AddParsedOption(*command, "--precision", &options->precision, repository::ParsePrecision,
                          "auto|fp32|bf16", "fp32", "Arithmetic of the stored answers");
  command
      ->add_option("--min-cosine", options->min_cosine,
                   "Least cosine of an answer's vector with the stored one")
      ->capture_default_str()
      ->check(CLI::Range(-1.0, 1.0));
  command
      ->add_option_function<double>(
          "--max-abs", [options](double bound) { options->max_abs = bound; },
          "Also the most by which a single value may differ; default: any")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--output", options->output, "File to write; default: DIR/golden.json")
      ->type_name("FILE");
  command->callback([options, exit_status] {
    const absl::Status written = WriteGolden(*options);
    *exit_status = written.ok() ? kExitOk : kExitFailed;
    if (!written.ok()) {
      std::fprintf(stderr, "golden: %s\n", std::string(written.message()).c_str());
    }
  });
}

}  // namespace reprise::server::commands
