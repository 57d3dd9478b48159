// Adjusts the output projections of a model whose heads take other heads' scores, so that each
// layer's residual stream is as it was: in closed form, on texts, without training.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/analyze.h"
#include "engine/analysis/text_workers.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::analysis {

// As checkpoints store it.
struct OutputProjection {
  std::vector<float> weight;  // [hidden_size, hidden_size], [out, in]
  std::vector<float> bias;    // [hidden_size]
};

struct RefitOptions {
  int threads = 1;
  double ridge = 0.1;  // NormalEquations::Solve: how much the stored projection is trusted
  // Called after each text in each layer with how many are done and how many there are.
  std::function<void(int done, int total)> progress;
};

// From the first layer with a reusing head to the last, in order, on the activations x' of the
// model as it is converted so far: with Z the contexts of its heads, x the original's input of the
// layer and o the original's attention output, the projection that makes Z W + b most like o + (x -
// x'), which also repairs what the layers before did to the residual stream. Element l is layer l's
// new projection; nothing where it stays. `source`: the original's weights, packed as `weights`.
// The texts' hidden states are kept: RefitBytes. The errors of TextWorkers::Create, of reading, and
// InvalidArgument for fewer tokens than kLeastTokensPerColumn times hidden_size: too little to tell
// the columns apart.
inline constexpr int kLeastTokensPerColumn = 4;
absl::StatusOr<std::vector<std::optional<OutputProjection>>> RefitOutputs(
    const architectures::BertConfig& config, const architectures::BertWeights& weights,
    const weights::WeightSource& source, const HeadSources& sources, const Texts& texts,
    const RefitOptions& options);

// Memory that RefitOutputs takes beside the weights and a ScoreCapture for each thread.
std::int64_t RefitBytes(const architectures::BertConfig& config, const Texts& texts, int threads);

}  // namespace reprise::engine::analysis
