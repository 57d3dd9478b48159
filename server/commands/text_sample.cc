#include "server/commands/text_sample.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/commands/text_lines.h"
#include "server/pipeline/tokenizer/tokenizer.h"

namespace reprise::server::commands {
namespace {

absl::StatusOr<std::vector<std::string>> DrawLines(const TextSampleOptions& options) {
  std::vector<std::string> lines;
  for (const std::string& path : options.files) {
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

// The beginning of a text for a message, whatever bytes it has.
std::string Beginning(const std::string& text) {
  constexpr std::size_t kShown = 40;
  return absl::StrCat("text '", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "...'" : "'");
}

}  // namespace

absl::StatusOr<TokenizedTexts> DrawTexts(const std::string& model,
                                         const TextSampleOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::string> lines, DrawLines(options));
  const std::string path = (std::filesystem::path(model) / "tokenizer.json").string();
  REPRISE_ASSIGN_OR_RETURN(const auto tokenizer, pipeline::Tokenizer::FromFile(path));
  TokenizedTexts texts;
  for (const std::string& line : lines) {
    auto encoding = tokenizer->Encode(line, static_cast<std::size_t>(options.max_tokens));
    if (!encoding.ok()) {
      return absl::Status(
          encoding.status().code(),
          absl::StrCat(Beginning(line), ": ", std::string(encoding.status().message())));
    }
    texts.push_back(std::move(encoding->ids));
  }
  return texts;
}

std::int64_t TokensOf(const TokenizedTexts& texts) {
  std::int64_t tokens = 0;
  for (const auto& text : texts) tokens += static_cast<std::int64_t>(text.size());
  return tokens;
}

CLI::Option* AddTextFlags(CLI::App& command, TextSampleOptions* options) {
  CLI::Option* files =
      command
          .add_option("--text", options->files,
                      "Files of texts like those that will be served, one in each line")
          ->type_name("FILE");
  command
      .add_option("--max-texts", options->max_texts,
                  "Texts to draw at random where the files have more")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  command.add_option("--max-tokens", options->max_tokens, "Tokens that a text is cut to")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{1} << 20));
  command.add_option("--seed", options->seed, "Of the drawing")->capture_default_str();
  return files;
}

}  // namespace reprise::server::commands
