// Runs texts through a model and sums up what its heads do.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/similarity_table.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"

namespace reprise::engine::analysis {

struct AnalysisOptions {
  int threads = 1;  // each runs texts of its own
  // Called after each text with how many are done and how many there are, by one thread at a time.
  std::function<void(int done, int total)> progress;
};

// The same for any number of threads. Texts are token ids, of type 0. InvalidArgument for no text,
// an empty one, one longer than the model's positions or an id outside its vocabulary, and for a
// model that ScoreCapture does not take; ResourceExhausted without memory. `weights` as packed in
// fp32.
absl::StatusOr<SimilarityTable> AnalyzeSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, const AnalysisOptions& options);

// The same for texts of which `begun` has the first begun.texts() already: the rest in pieces of
// about a second. After each piece `after_piece` sees the table so far, to keep it, and may end it
// all with an error.
absl::StatusOr<SimilarityTable> ContinueSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, SimilarityTable begun,
    const AnalysisOptions& options,
    const std::function<absl::Status(const SimilarityTable& so_far)>& after_piece);

}  // namespace reprise::engine::analysis
