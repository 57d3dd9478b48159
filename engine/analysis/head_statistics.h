// What all pairs of a model's heads have to do with each other, measured in one pass over texts.
#pragma once

#include "absl/status/statusor.h"
#include "engine/analysis/analyze.h"
#include "engine/analysis/output_errors.h"
#include "engine/analysis/similarity_table.h"
#include "engine/analysis/text_workers.h"

namespace reprise::engine::analysis {

struct HeadStatistics {
  SimilarityTable similarity;
  OutputErrors errors;
};

// The same for any number of threads up to the rounding of double sums. `outputs` must outlive the
// result. The errors of TextWorkers::Create.
absl::StatusOr<HeadStatistics> MeasureHeadStatistics(const architectures::BertConfig& config,
                                                     const architectures::BertWeights& weights,
                                                     const HeadOutputs& outputs, const Texts& texts,
                                                     const AnalysisOptions& options);

}  // namespace reprise::engine::analysis
