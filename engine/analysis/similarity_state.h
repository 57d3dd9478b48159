// How far a measurement of similarity has come, as text to go on from.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/analysis/similarity_table.h"

namespace reprise::engine::analysis {

struct SimilarityState {
  // What the tables belong to: hashes of the model's weights and of the texts' token ids.
  std::string model;
  std::string texts;
  std::int64_t num_texts = 0;
  int layers = 0;
  int heads = 0;
  // By the weights that they were measured with ("trained", "random-1"): each is over the first
  // table.texts() of the texts.
  std::map<std::string, SimilarityTable> tables;
};

// JSON, on one line.
std::string ToText(const SimilarityState& state);

// InvalidArgument for text that ToText did not write, or that was damaged; `path` names it.
absl::StatusOr<SimilarityState> ParseSimilarityState(std::string_view text,
                                                     const std::string& path);

// InvalidArgument, naming what differs, when the state in the file `path` is not one of the
// measurement that `wanted` describes.
absl::Status CheckBelongsTo(const SimilarityState& state, const SimilarityState& wanted,
                            const std::string& path);

}  // namespace reprise::engine::analysis
