#include "server/commands/conversion_texts.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"
#include "server/commands/fingerprint.h"

namespace reprise::server::commands {
namespace {

// One text in so many is kept for the judgement.
constexpr std::size_t kHeldOutOneIn = 5;
constexpr std::size_t kLeastTexts = 50;

std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

absl::StatusOr<nlohmann::ordered_json> DescribeFiles(const std::vector<std::string>& paths) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const std::string& path : paths) {
    REPRISE_ASSIGN_OR_RETURN(const std::string digest, Sha256OfFile(path));
    files.push_back({{"name", NameOf(path)}, {"sha256", digest}});
  }
  return files;
}

}  // namespace

absl::StatusOr<ConversionTexts> DrawConversionTexts(const ConvertOptions& options,
                                                    int max_position_embeddings) {
  TextSampleOptions sample = options.sample;
  sample.max_tokens = std::min<std::int64_t>(sample.max_tokens, max_position_embeddings);
  ConversionTexts texts;
  REPRISE_ASSIGN_OR_RETURN(texts.calibration, DrawTexts(options.model, sample));
  if (texts.calibration.size() < kLeastTexts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are ", texts.calibration.size(),
        " texts to choose and to judge by; expected at least ", kLeastTexts, ", better 3000"));
  }
  for (const std::string& path : options.held_out) {
    sample.files = {path};
    REPRISE_ASSIGN_OR_RETURN(TokenizedTexts held_out, DrawTexts(options.model, sample));
    if (held_out.size() < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "' has ", held_out.size(),
                       " text to judge by; expected at least 2, better 1000"));
    }
    texts.held_out.push_back({NameOf(path), std::move(held_out)});
  }
  if (!texts.held_out.empty()) return texts;
  ConversionTexts split;
  split.held_out.push_back({"a fifth of the texts", {}});
  for (std::size_t i = 0; i < texts.calibration.size(); ++i) {
    (i % kHeldOutOneIn == 0 ? split.held_out[0].texts : split.calibration)
        .push_back(std::move(texts.calibration[i]));
  }
  return split;
}

TokenizedTexts EverySoMany(const TokenizedTexts& texts, std::size_t wanted) {
  const std::size_t count = std::min(wanted, texts.size());
  TokenizedTexts some;
  for (std::size_t i = 0; i < count; ++i) some.push_back(texts[i * texts.size() / count]);
  return some;
}

absl::StatusOr<nlohmann::ordered_json> DescribeTexts(const ConvertOptions& options,
                                                     const ConversionTexts& texts) {
  nlohmann::ordered_json described;
  REPRISE_ASSIGN_OR_RETURN(described["files"], DescribeFiles(options.sample.files));
  REPRISE_ASSIGN_OR_RETURN(described["held_out_files"], DescribeFiles(options.held_out));
  described["calibration_texts"] = texts.calibration.size();
  described["calibration_tokens"] = TokensOf(texts.calibration);
  described["max_texts"] = options.sample.max_texts;
  described["max_tokens"] = options.sample.max_tokens;
  described["seed"] = options.sample.seed;
  return described;
}

}  // namespace reprise::server::commands
