#include "engine/analysis/head_statistics.h"

#include <utility>

#include "engine/check.h"

namespace reprise::engine::analysis {

absl::StatusOr<HeadStatistics> MeasureHeadStatistics(const architectures::BertConfig& config,
                                                     const architectures::BertWeights& weights,
                                                     const HeadOutputs& outputs, const Texts& texts,
                                                     const AnalysisOptions& options) {
  REPRISE_ASSIGN_OR_RETURN(const auto workers,
                           TextWorkers::Create(config, weights, texts, options.threads));
  std::vector<HeadStatistics> sums(
      workers->size(),
      {SimilarityTable(config.num_layers, config.num_heads), OutputErrors(config, outputs)});
  int done = 0;
  workers->ForEach(
      [&](ScoreCapture& capture, const TextBatch& batch, int worker) {
        capture.RunBatch(batch.cu_seqlens, batch.ids, {});
        for (int text = 0; text < capture.num_texts(); ++text) {
          sums[worker].similarity.Add(capture.scores(text));
          sums[worker].errors.Add(capture.scores(text));
        }
      },
      [&] {
        if (options.progress) options.progress(++done, static_cast<int>(texts.size()));
      });
  for (int worker = 1; worker < workers->size(); ++worker) {
    sums[0].similarity.Merge(sums[worker].similarity);
    sums[0].errors.Merge(sums[worker].errors);
  }
  return std::move(sums[0]);
}

}  // namespace reprise::engine::analysis
