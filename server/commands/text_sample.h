// Texts of files as token ids, some drawn of many.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace reprise::server::commands {

using TokenizedTexts = std::vector<std::vector<std::int32_t>>;

struct TextSampleOptions {
  std::vector<std::string> files;  // one text in each line
  std::int64_t max_texts = 1000;
  std::int64_t max_tokens = 512;  // that a text is cut to
  std::uint64_t seed = 1;         // of the drawing
};

// At most max_texts lines of all files, drawn at random where there are more, in the files' order,
// by the tokenizer.json of the checkpoint `model`. NotFound for a file that is not there,
// InvalidArgument for one without text and for a text that is not UTF-8.
absl::StatusOr<TokenizedTexts> DrawTexts(const std::string& model,
                                         const TextSampleOptions& options);

std::int64_t TokensOf(const TokenizedTexts& texts);

// --text and what goes with it. The option of the files, for the caller to require.
CLI::Option* AddTextFlags(CLI::App& command, TextSampleOptions* options);

}  // namespace reprise::server::commands
