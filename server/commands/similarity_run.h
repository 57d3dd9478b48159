// Measures the similarity of heads over many texts, as long as it takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/analysis/similarity_table.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"
#include "server/commands/measure_heads.h"
#include "server/commands/state_file.h"
#include "server/commands/text_sample.h"

namespace reprise::server::commands {

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

}  // namespace reprise::server::commands
