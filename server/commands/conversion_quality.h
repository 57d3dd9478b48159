// How close a converted model's answers are to its original's.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// Over texts; a text's vector is the model's sentence embedding, or else its pooler's output, or
// else the hidden state of its first token.
struct ConversionQuality {
  std::int64_t texts = 0;
  double mean_cosine = 0;          // of a text's two vectors
  double fifth_percentile = 0;     // of those cosines
  double neighbour_agreement = 0;  // share of texts whose nearest other text is the same in both
};

// Runs both checkpoints in fp32. Requires: at least two texts.
absl::StatusOr<ConversionQuality> JudgeConversion(const std::string& original,
                                                  const std::string& converted,
                                                  const TokenizedTexts& texts, int threads);

nlohmann::ordered_json ToJson(const ConversionQuality& quality);

}  // namespace reprise::server::commands
