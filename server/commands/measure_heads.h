// Measures a model's heads on texts, and says meanwhile how it goes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/output_errors.h"
#include "engine/analysis/similarity_table.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"
#include "server/commands/state_file.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

// A checkpoint in memory, in fp32.
struct LoadedCheckpoint {
  engine::architectures::BertConfig config;
  engine::architectures::BertWeights weights;
  engine::analysis::HeadOutputs outputs;
};
absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(const std::string& directory);

// Prints what it will take first, from how long some of the texts take, and shows its progress. The
// errors of AnalyzeSimilarity.
absl::StatusOr<engine::analysis::SimilarityTable> MeasureSimilarity(const LoadedCheckpoint& model,
                                                                    const TokenizedTexts& texts,
                                                                    int threads);

// Prints what it will take to run the texts as often as `done` has numbers, without the first ones
// that are done already; nothing when all are. The errors of AnalyzeSimilarity.
absl::Status AnnounceSimilarity(const LoadedCheckpoint& model, const TokenizedTexts& texts,
                                int threads, const std::vector<std::int64_t>& done);

// Goes on from what `state`, if not null, has under `name`, keeps it there, and shows its progress.
// Also StateFile::Keep's errors.
absl::StatusOr<engine::analysis::SimilarityTable> MeasureSimilarityInPieces(
    const engine::architectures::BertConfig& config,
    const engine::architectures::BertWeights& weights, const TokenizedTexts& texts, int threads,
    const std::string& name, StateFile* state);

// Drawn from the seed as before any training, in fp32.
absl::StatusOr<engine::architectures::BertWeights> RandomWeights(
    const engine::architectures::BertConfig& config, std::uint64_t seed);

absl::StatusOr<engine::analysis::OutputErrors> MeasureOutputErrors(const LoadedCheckpoint& model,
                                                                   const TokenizedTexts& texts,
                                                                   int threads);

}  // namespace reprise::server::commands
