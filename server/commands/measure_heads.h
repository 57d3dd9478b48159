// Measures a model's heads on texts, and says meanwhile how it goes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/head_statistics.h"
#include "engine/analysis/output_errors.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// A checkpoint in memory, in fp32.
struct LoadedCheckpoint {
  engine::architectures::BertConfig config;
  engine::architectures::BertWeights weights;
  engine::analysis::HeadOutputs outputs;
};
absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(const std::string& directory);

// What all pairs of heads have to do with each other. Prints what it will take first, from how long
// some of the texts take, and shows its progress. Points into `model`. The errors of
// MeasureHeadStatistics.
absl::StatusOr<engine::analysis::HeadStatistics> MeasureHeads(const LoadedCheckpoint& model,
                                                              const TokenizedTexts& texts,
                                                              int threads);

// How much the model's answers depend on each head, with progress.
absl::StatusOr<std::vector<double>> MeasureHeadSensitivity(
    const LoadedCheckpoint& model, const engine::analysis::OutputErrors& errors,
    const TokenizedTexts& texts, int threads);

}  // namespace reprise::server::commands
