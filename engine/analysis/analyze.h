// Runs texts through a model and sums up what its heads do.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/output_errors.h"
#include "engine/analysis/similarity_table.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"

namespace reprise::engine::analysis {

struct AnalysisOptions {
  int threads = 1;  // each runs texts of its own
  // Called after each text with how many are done and how many there are, by one thread at a time.
  std::function<void(int done, int total)> progress;
};

// The same for any number of threads up to the rounding of double sums. Texts are token ids, of
// type 0. InvalidArgument for no text, an empty one, one longer than the model's positions or an id
// outside its vocabulary, and for a model that ScoreCapture does not take; ResourceExhausted
// without memory. `weights` as packed in fp32.
absl::StatusOr<SimilarityTable> AnalyzeSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, const AnalysisOptions& options);

// Likewise what reuse would do to the layers' outputs. `outputs` must outlive the result.
absl::StatusOr<OutputErrors> AnalyzeOutputErrors(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const HeadOutputs& outputs, const std::vector<std::vector<std::int32_t>>& texts,
    const AnalysisOptions& options);

}  // namespace reprise::engine::analysis
