#include "server/commands/analyze.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/analysis/analyze.h"
#include "engine/analysis/similarity_report.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/bert_weights.h"
#include "engine/check.h"
#include "engine/device/cpu/cores.h"
#include "engine/weights/checkpoint.h"
#include "nlohmann/json.hpp"
#include "server/commands/exit_status.h"
#include "server/commands/progress_bar.h"
#include "server/commands/quantity_text.h"
#include "server/commands/text_lines.h"
#include "server/commands/whole_file.h"
#include "server/pipeline/tokenizer/tokenizer.h"

namespace reprise::server::commands {
namespace {

using Texts = std::vector<std::vector<std::int32_t>>;

struct AnalyzeOptions {
  std::string model;
  std::vector<std::string> text_files;
  std::int64_t max_texts = 1000;
  std::int64_t max_tokens = 512;
  std::uint64_t seed = 1;
  int threads = engine::device::UsableCores();
  std::string json_file;
  std::string html_file;
};

// At most max_texts lines of all files, drawn at random where there are more, in the files' order.
absl::StatusOr<std::vector<std::string>> DrawLines(const AnalyzeOptions& options) {
  std::vector<std::string> lines;
  for (const std::string& path : options.text_files) {
    REPRISE_ASSIGN_OR_RETURN(std::vector<std::string> more, ReadTextLines(path));
    if (more.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "' has no text; expected one text in each line"));
    }
    std::move(more.begin(), more.end(), std::back_inserter(lines));
  }
  std::vector<std::string> drawn;
  std::sample(std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()),
              std::back_inserter(drawn), options.max_texts, std::mt19937_64(options.seed));
  return drawn;
}

absl::StatusOr<Texts> Tokenize(const AnalyzeOptions& options, std::int64_t max_tokens) {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::string> lines, DrawLines(options));
  const std::string path = (std::filesystem::path(options.model) / "tokenizer.json").string();
  REPRISE_ASSIGN_OR_RETURN(const auto tokenizer, pipeline::Tokenizer::FromFile(path));
  Texts texts;
  for (const std::string& line : lines) {
    auto encoding = tokenizer->Encode(line, static_cast<std::size_t>(max_tokens));
    if (!encoding.ok()) {
      return absl::Status(encoding.status().code(),
                          absl::StrCat("text '", absl::CHexEscape(line.substr(0, 40)),
                                       line.size() > 40 ? "...': " : "': ",
                                       std::string(encoding.status().message())));
    }
    texts.push_back(std::move(encoding->ids));
  }
  return texts;
}

struct Loaded {
  engine::architectures::BertConfig config;
  engine::architectures::BertWeights weights;
};

absl::StatusOr<Loaded> Load(const std::string& directory) {
  Loaded loaded;
  REPRISE_ASSIGN_OR_RETURN(loaded.config, engine::architectures::ReadBertConfig(directory));
  REPRISE_ASSIGN_OR_RETURN(const auto checkpoint, engine::weights::Checkpoint::Open(directory));
  REPRISE_ASSIGN_OR_RETURN(const auto parts,
                           engine::architectures::FindParts(loaded.config, *checkpoint));
  REPRISE_RETURN_IF_ERROR(
      engine::architectures::CheckParameters(loaded.config, parts, *checkpoint));
  REPRISE_ASSIGN_OR_RETURN(loaded.weights,
                           engine::architectures::PackBertWeights(loaded.config, parts, *checkpoint,
                                                                  engine::DType::kF32));
  return loaded;
}

std::int64_t TokensOf(const Texts& texts) {
  std::int64_t tokens = 0;
  for (const auto& text : texts) tokens += static_cast<std::int64_t>(text.size());
  return tokens;
}

// Says what is coming, from how long the text of middle length takes.
absl::Status Announce(const Loaded& model, const Texts& texts, const AnalyzeOptions& options) {
  std::vector<std::size_t> lengths;
  for (const auto& text : texts) lengths.push_back(text.size());
  const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2);
  std::nth_element(lengths.begin(), middle, lengths.end());
  const auto sample = std::find_if(texts.begin(), texts.end(),
                                   [&](const auto& text) { return text.size() == *middle; });
  const auto begin = std::chrono::steady_clock::now();
  REPRISE_RETURN_IF_ERROR(engine::analysis::AnalyzeSimilarity(model.config, model.weights,
                                                              {*sample},
                                                              {.threads = 1, .progress = {}})
                              .status());
  const std::chrono::duration<double> once = std::chrono::steady_clock::now() - begin;
  const std::size_t longest = *std::max_element(lengths.begin(), lengths.end());
  const std::int64_t bytes =
      model.weights.packed_bytes +
      options.threads * engine::analysis::ScoreCapture::BytesFor(
                            model.config, static_cast<std::int64_t>(longest));
  std::printf("%zu texts, %s tokens, %d threads: about %.0f s and %s of memory\n", texts.size(),
              CountText(static_cast<double>(TokensOf(texts))).c_str(), options.threads,
              once.count() * static_cast<double>(texts.size()) / options.threads,
              ByteText(bytes).c_str());
  std::fflush(stdout);
  return absl::OkStatus();
}

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
  REPRISE_ASSIGN_OR_RETURN(const Loaded model, Load(options.model));
  const std::int64_t max_tokens =
      std::min<std::int64_t>(options.max_tokens, model.config.max_position_embeddings);
  REPRISE_ASSIGN_OR_RETURN(const Texts texts, Tokenize(options, max_tokens));
  REPRISE_RETURN_IF_ERROR(Announce(model, texts, options));
  ProgressBar progress("analysing");
  REPRISE_ASSIGN_OR_RETURN(
      const engine::analysis::SimilarityTable table,
      engine::analysis::AnalyzeSimilarity(
          model.config, model.weights, texts,
          {options.threads, [&](int done, int total) { progress.Show(done, total); }}));
  progress.Clear();
  std::fputs(DrawBestPairs(table).c_str(), stdout);

  const engine::analysis::AnalysisSubject subject = {
      std::filesystem::path(options.model).lexically_normal().string(), TokensOf(texts),
      max_tokens};
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
  command
      ->add_option(
          "--text", options->text_files,
          "Files of texts like those that will be served, one in each line; may be repeated")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--max-texts", options->max_texts,
                   "Texts to draw at random where the files have more")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  command->add_option("--max-tokens", options->max_tokens, "Tokens that a text is cut to")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{1} << 20));
  command->add_option("--seed", options->seed, "Of the drawing")->capture_default_str();
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
