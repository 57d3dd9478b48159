// How close a converted model's answers are to its original's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// What a model says of texts, in fp32.
struct ModelAnswers {
  // Of each text the sentence embedding, or else the pooler's output, or else the hidden state of
  // its first token.
  std::vector<std::vector<float>> vectors;
  std::vector<int> labels;  // with a classifier: of each text the one of the largest logit
};
absl::StatusOr<ModelAnswers> AnswersOf(const std::string& directory, const TokenizedTexts& texts,
                                       int threads);

struct ConversionQuality {
  std::int64_t texts = 0;
  double mean_cosine = 0;       // of a text's two vectors
  double fifth_percentile = 0;  // of those cosines
  // Share of texts whose nearest other text is the same in both models, and the mean share of the
  // ten nearest ones (of all others, where there are fewer) that are. Each model compares its own
  // vectors.
  double neighbour_agreement = 0;
  double ten_neighbours_agreement = 0;
  std::optional<double> label_agreement;  // share of texts with the same label; for classifiers
};

// Requires: answers to the same texts, at least two of them.
ConversionQuality Compare(const ModelAnswers& original, const ModelAnswers& converted);

nlohmann::ordered_json ToJson(const ConversionQuality& quality);

}  // namespace reprise::server::commands
