#include "engine/analysis/sensitivity.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>

#include "engine/check.h"

namespace reprise::engine::analysis {
namespace {

using architectures::BertConfig;

using Vectors = std::vector<std::vector<double>>;  // one of each text of a batch

Vectors VectorsOf(const BertConfig& config, const TextBatch& batch,
                  MatrixView<const float> hidden) {
  const bool mean = config.pooling == architectures::Pooling::kMean;
  Vectors vectors(batch.num_texts(), std::vector<double>(hidden.columns));
  for (std::size_t text = 0; text < vectors.size(); ++text) {
    const std::int32_t first = batch.cu_seqlens[text];
    const std::int32_t end = mean ? batch.cu_seqlens[text + 1] : first + 1;
    for (std::int32_t row = first; row < end; ++row) {
      for (std::int64_t column = 0; column < hidden.columns; ++column) {
        vectors[text][column] += double{hidden.row(row)[column]};
      }
    }
  }
  return vectors;
}

double OneMinusCosine(const std::vector<double>& a, const std::vector<double>& b) {
  const double squares = std::inner_product(a.begin(), a.end(), a.begin(), 0.0) *
                         std::inner_product(b.begin(), b.end(), b.begin(), 0.0);
  if (squares == 0) return 0;
  return 1 - std::inner_product(a.begin(), a.end(), b.begin(), 0.0) / std::sqrt(squares);
}

// Runs a batch with each head replaced in turn.
class OneHeadAtATime {
 public:
  OneHeadAtATime(const BertConfig& config, const HeadOutputs& outputs,
                 const std::vector<int>& best_source)
      : config_(config), best_source_(best_source), inputs_(config.num_layers) {
    sources_.source.resize(best_source.size());
    std::iota(sources_.source.begin(), sources_.source.end(), 0);
    sources_.value_scale.assign(best_source.size(), 1);
    sources_.value_bias = outputs.value_bias;
  }

  // Adds to changes[head] what replacing it does to the texts' vectors.
  void Run(ScoreCapture& capture, const TextBatch& batch, std::vector<double>& changes) {
    const Vectors original = RunOriginal(capture, batch);
    // From the last layer to the first: the scores of the layers before are the original's still.
    for (int layer = config_.num_layers - 1; layer >= 1; --layer) {
      for (int head = 0; head < config_.num_heads; ++head) {
        const int number = layer * config_.num_heads + head;
        sources_.source[number] = best_source_[number];
        const Vectors replaced = RunFrom(capture, layer, batch);
        for (std::size_t text = 0; text < original.size(); ++text) {
          changes[number] += OneMinusCosine(original[text], replaced[text]);
        }
        sources_.source[number] = number;
      }
    }
  }

 private:
  Vectors RunOriginal(ScoreCapture& capture, const TextBatch& batch) {
    capture.Begin(batch.cu_seqlens, batch.ids, {});
    for (int layer = 0; layer < config_.num_layers; ++layer) {
      const MatrixView<float> hidden = capture.hidden();
      inputs_[layer].assign(hidden.data, hidden.data + hidden.rows * hidden.stride);
      capture.Attend(layer);
      capture.Finish(layer);
    }
    capture.End();
    return VectorsOf(config_, batch, capture.hidden());
  }

  Vectors RunFrom(ScoreCapture& capture, int first, const TextBatch& batch) {
    std::copy(inputs_[first].begin(), inputs_[first].end(), capture.hidden().data);
    for (int layer = first; layer < config_.num_layers; ++layer) {
      capture.Attend(layer, &sources_);
      capture.Finish(layer);
    }
    capture.End();
    return VectorsOf(config_, batch, capture.hidden());
  }

  const BertConfig& config_;
  const std::vector<int>& best_source_;
  HeadSources sources_;
  std::vector<std::vector<float>> inputs_;  // of each layer, of the batch at hand
};

}  // namespace

absl::StatusOr<std::vector<double>> MeasureSensitivity(
    const BertConfig& config, const architectures::BertWeights& weights, const HeadOutputs& outputs,
    const OutputErrors& errors, const Texts& texts, const AnalysisOptions& options) {
  const int heads = config.num_layers * config.num_heads;
  std::vector<int> best_source(heads);
  for (int target = config.num_heads; target < heads; ++target) {
    for (int source = 1; source < target / config.num_heads * config.num_heads; ++source) {
      if (errors.unscaled_error(target, source) <
          errors.unscaled_error(target, best_source[target])) {
        best_source[target] = source;
      }
    }
  }
  REPRISE_ASSIGN_OR_RETURN(const auto workers,
                           TextWorkers::Create(config, weights, texts, options.threads));
  std::vector<OneHeadAtATime> runs(workers->size(), OneHeadAtATime(config, outputs, best_source));
  std::vector<std::vector<double>> changes(workers->size(), std::vector<double>(heads));
  int done = 0;
  workers->ForEach([&](ScoreCapture& capture, const TextBatch& batch,
                       int worker) { runs[worker].Run(capture, batch, changes[worker]); },
                   [&] {
                     if (options.progress) options.progress(++done, static_cast<int>(texts.size()));
                   });
  std::vector<double> sensitivity(heads);
  for (int head = config.num_heads; head < heads; ++head) {
    const double error = errors.unscaled_error(head, best_source[head]);
    double change = 0;
    for (const auto& of_worker : changes)
      change += of_worker[head] / static_cast<double>(texts.size());
    sensitivity[head] = error > 0 ? change / error : 0;
  }
  return sensitivity;
}

}  // namespace reprise::engine::analysis
