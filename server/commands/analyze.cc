#include "server/commands/analyze.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/analysis/similarity_report.h"
#include "engine/check.h"
#include "engine/device/cpu/cores.h"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/measure_heads.h"
#include "server/commands/text_sample.h"
#include "server/commands/whole_file.h"

namespace reprise::server::commands {
namespace {

struct AnalyzeOptions {
  std::string model;
  TextSampleOptions sample;
  int threads = engine::device::UsableCores();
  std::string json_file;
  std::string html_file;
};

std::string DrawBestPairs(const engine::analysis::SimilarityTable& table) {
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

absl::Status Analyze(const AnalyzeOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const LoadedCheckpoint model, LoadCheckpoint(options.model));
  TextSampleOptions sample = options.sample;
  sample.max_tokens =
      std::min<std::int64_t>(sample.max_tokens, model.config.max_position_embeddings);
  REPRISE_ASSIGN_OR_RETURN(const TokenizedTexts texts, DrawTexts(options.model, sample));
  REPRISE_ASSIGN_OR_RETURN(const engine::analysis::SimilarityTable table,
                           MeasureSimilarity(model, texts, options.threads));
  std::fputs(DrawBestPairs(table).c_str(), stdout);

  const engine::analysis::AnalysisSubject subject = {
      std::filesystem::path(options.model).lexically_normal().string(), TokensOf(texts),
      sample.max_tokens};
  if (!options.json_file.empty()) {
    REPRISE_RETURN_IF_ERROR(
        WriteWholeFile(options.json_file,
                       ToJson(table, subject)
                           .dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
    std::printf("Wrote the table to %s.\n", options.json_file.c_str());
  }
  if (!options.html_file.empty()) {
    REPRISE_RETURN_IF_ERROR(WriteWholeFile(options.html_file, ToHtml(table, subject)));
    std::printf("Wrote the report to %s.\n", options.html_file.c_str());
  }
  return absl::OkStatus();
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
  command->callback([options, exit_status] {
    const absl::Status status = Analyze(*options);
    *exit_status = kExitOk;
    if (status.ok()) return;
    std::fprintf(stderr, "analyze: %s\n", std::string(status.message()).c_str());
    const bool usage = status.code() == absl::StatusCode::kInvalidArgument;
    *exit_status = usage ? kExitUsage : kExitFailed;
  });
}

}  // namespace reprise::server::commands
