#include "server/commands/similarity_run.h"

#include <algorithm>
#include <utility>

#include "engine/analysis/analyze.h"
#include "engine/analysis/text_workers.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/check.h"
#include "engine/weights/random_source.h"
#include "server/commands/machine.h"
#include "server/commands/progress_bar.h"
#include "server/commands/run_announcement.h"

namespace reprise::server::commands {

absl::Status AnnounceSimilarity(const LoadedCheckpoint& model, const TokenizedTexts& texts,
                                int threads, const std::vector<std::int64_t>& done) {
  if (texts.empty()) return absl::InvalidArgumentError("there is no text to analyse");
  TokenizedTexts left;
  for (const std::int64_t first : done) left.insert(left.end(), texts.begin() + first, texts.end());
  if (left.empty()) return absl::OkStatus();
  const std::int64_t before = PeakResidentBytes();
  REPRISE_ASSIGN_OR_RETURN(const double seconds, EstimateSeconds(left, [&](const auto& text) {
                             return engine::analysis::AnalyzeSimilarity(model.config, model.weights,
                                                                        {text}, {})
                                 .status();
                           }));
  const std::int64_t table =
      engine::analysis::SimilarityTable::BytesFor(model.config.num_layers, model.config.num_heads);
  // The tables of each thread, of the piece, of what was measured before, and of what is kept.
  const auto tables = static_cast<std::int64_t>(threads + 2 + 2 * done.size()) * table;
  Announce(texts, threads, seconds,
           std::max(before, model.weights.packed_bytes) + tables +
               engine::analysis::TextWorkers::BytesFor(model.config, texts, threads),
           done.size() > 1 ? ", also with random weights" : "");
  return absl::OkStatus();
}

absl::StatusOr<engine::analysis::SimilarityTable> MeasureSimilarityInPieces(
    const engine::architectures::BertConfig& config,
    const engine::architectures::BertWeights& weights, const TokenizedTexts& texts, int threads,
    const std::string& name, StateFile* state) {
  engine::analysis::SimilarityTable begun(config.num_layers, config.num_heads);
  if (state != nullptr) {
    begun = state->Begun(name);
    REPRISE_RETURN_IF_ERROR(state->Save());  // to know now that it can be written
  }
  ProgressBar progress("analysing, " + name);
  REPRISE_ASSIGN_OR_RETURN(engine::analysis::SimilarityTable table,
                           engine::analysis::ContinueSimilarity(
                               config, weights, texts, std::move(begun),
                               {threads, [&](int done, int total) { progress.Show(done, total); }},
                               [&](const auto& so_far) {
                                 return state != nullptr ? state->Keep(name, so_far)
                                                         : absl::OkStatus();
                               }));
  if (state != nullptr) REPRISE_RETURN_IF_ERROR(state->Save());
  return table;
}

absl::StatusOr<engine::architectures::BertWeights> RandomWeights(
    const engine::architectures::BertConfig& config, std::uint64_t seed) {
  const engine::weights::RandomSource source(engine::architectures::BertParameters(config, {}),
                                             seed);
  return engine::architectures::PackBertWeights(config, {}, source, engine::DType::kF32);
}

}  // namespace reprise::server::commands
