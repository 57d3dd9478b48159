// How much a model's answers depend on one head's scores.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/analyze.h"
#include "engine/analysis/output_errors.h"
#include "engine/analysis/text_workers.h"

namespace reprise::engine::analysis {

// Of each head t, by its number: lets t alone take the scores of the source of least
// OutputErrors::unscaled_error, runs the rest of the model, and gives the mean over texts of 1 -
// cos of a text's vector before and after, divided by that error. So sensitivity times output error
// estimates what reuse costs the answers. 0 for heads of the first layer, which have no source.
// A text's vector is the mean of its last hidden states, or the first of them for a model that
// pools by its first token or not at all. The errors of TextWorkers::Create. progress counts texts.
absl::StatusOr<std::vector<double>> MeasureSensitivity(const architectures::BertConfig& config,
                                                       const architectures::BertWeights& weights,
                                                       const HeadOutputs& outputs,
                                                       const OutputErrors& errors,
                                                       const Texts& texts,
                                                       const AnalysisOptions& options);

}  // namespace reprise::engine::analysis
