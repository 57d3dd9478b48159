#include "engine/analysis/analyze.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/analysis/text_workers.h"
#include "engine/check.h"

namespace reprise::engine::analysis {
absl::StatusOr<SimilarityTable> AnalyzeSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, const AnalysisOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const auto workers,
                           TextWorkers::Create(config, weights, texts, options.threads));
  std::vector<SimilarityTable> tables(workers->size(),
                                      SimilarityTable(config.num_layers, config.num_heads));
  int done = 0;
  workers->ForEach(
      [&](ScoreCapture& capture, const TextBatch& batch, int worker) {
        capture.RunBatch(batch.cu_seqlens, batch.ids, {});
        for (int text = 0; text < capture.num_texts(); ++text) {
          tables[worker].Add(capture.scores(text));
        }
      },
      [&] {
        if (options.progress) options.progress(++done, static_cast<int>(texts.size()));
      });
  for (int worker = 1; worker < workers->size(); ++worker) tables[0].Merge(tables[worker]);
  return std::move(tables[0]);
}

absl::StatusOr<SimilarityTable> ContinueSimilarity(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const std::vector<std::vector<std::int32_t>>& texts, SimilarityTable begun,
    const AnalysisOptions& options,
    const std::function<absl::Status(const SimilarityTable& so_far)>& after_piece) {
  REPRISE_CHECK(begun.texts() <= static_cast<std::int64_t>(texts.size()));
  const int total = static_cast<int>(texts.size());
  int piece = options.threads;
  while (begun.texts() < total) {
    const int first = static_cast<int>(begun.texts());
    const int size = std::min(piece, total - first);
    AnalysisOptions part = options;
    if (options.progress) {
      part.progress = [&](int done, int) { options.progress(first + done, total); };
    }
    const auto begin = std::chrono::steady_clock::now();
    REPRISE_ASSIGN_OR_RETURN(
        const SimilarityTable table,
        AnalyzeSimilarity(config, weights, {texts.begin() + first, texts.begin() + first + size},
                          part));
    begun.Merge(table);
    REPRISE_RETURN_IF_ERROR(after_piece(begun));
    // Long enough that starting a piece costs nothing, short enough to stop soon when asked to.
    const auto took = std::chrono::steady_clock::now() - begin;
    if (took < std::chrono::milliseconds(700)) piece = 2 * size;
    if (took > std::chrono::milliseconds(1500)) piece = std::max(options.threads, size / 2);
  }
  return begun;
}

}  // namespace reprise::engine::analysis
