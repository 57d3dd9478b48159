#include "engine/analysis/refit.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/analysis/normal_equations.h"
#include "engine/architectures/tensor_names.h"
#include "engine/check.h"

namespace reprise::engine::analysis {
namespace {

using architectures::BertConfig;

std::int64_t CountTokens(const Texts& texts) {
  std::int64_t tokens = 0;
  for (const auto& text : texts) tokens += static_cast<std::int64_t>(text.size());
  return tokens;
}

int FirstReusingLayer(const BertConfig& config, const HeadSources& sources) {
  for (int head = 0; head < config.num_layers * config.num_heads; ++head) {
    if (sources.source[head] != head) return head / config.num_heads;
  }
  return config.num_layers;
}

// The layers one after another. Of the original only the input of the layer at hand is kept, of the
// converted model nothing: its layers run again from the first for each one that is fitted, since
// all texts' scores would take more memory than anything else here.
class Refit {
 public:
  Refit(const BertConfig& config, const architectures::BertWeights& weights,
        const weights::WeightSource& source, const HeadSources& sources, const Texts& texts,
        const RefitOptions& options)
      : config_(config),
        weights_(weights),
        source_(source),
        sources_(sources),
        texts_(texts),
        options_(options),
        fitted_(config.num_layers) {}

  absl::StatusOr<std::vector<std::optional<OutputProjection>>> Run() {
    REPRISE_ASSIGN_OR_RETURN(workers_,
                             TextWorkers::Create(config_, weights_, texts_, options_.threads));
    inputs_.resize(workers_->num_batches());
    std::vector<std::optional<OutputProjection>> projections(config_.num_layers);
    const int first = FirstReusingLayer(config_, sources_);
    total_ = static_cast<int>(texts_.size()) * (config_.num_layers - first);
    KeepInputs(first);
    for (int layer = first; layer < config_.num_layers; ++layer) {
      REPRISE_ASSIGN_OR_RETURN(projections[layer], FitLayer(layer));
      REPRISE_ASSIGN_OR_RETURN(fitted_[layer], Pack(layer, *projections[layer]));
    }
    return projections;
  }

 private:
  // Of layer `first`, which are the same in both models.
  void KeepInputs(int first) {
    workers_->ForEach([&](ScoreCapture& capture, const TextBatch& batch, int) {
      capture.Begin(batch.cu_seqlens, batch.ids, {});
      for (int layer = 0; layer < first; ++layer) {
        capture.Attend(layer);
        capture.Finish(layer);
      }
      Keep(capture.hidden(), batch);
    });
  }

  absl::StatusOr<OutputProjection> FitLayer(int layer) {
    const std::int64_t hidden = config_.hidden_size;
    std::vector<NormalEquations> equations(workers_->size(), NormalEquations(hidden, hidden));
    workers_->ForEach(
        [&](ScoreCapture& capture, const TextBatch& batch, int worker) {
          std::vector<float> target = OriginalResidual(capture, layer, batch);
          RunConverted(capture, layer, batch);
          const MatrixView<float> stream = capture.hidden();
          for (std::int64_t i = 0; i < stream.rows * hidden; ++i) target[i] -= stream.data[i];
          equations[worker].Add(capture.contexts(), {target.data(), stream.rows, hidden, hidden});
        },
        [&] {
          if (options_.progress) options_.progress(++done_, total_);
        });
    for (int worker = 1; worker < workers_->size(); ++worker) {
      equations[0].Merge(equations[worker]);
    }
    REPRISE_ASSIGN_OR_RETURN(const std::vector<double> prior, TransposedOutput(layer));
    REPRISE_ASSIGN_OR_RETURN(const AffineMap map, equations[0].Solve(prior, options_.ridge));
    OutputProjection projection;
    projection.weight.resize(hidden * hidden);
    for (std::int64_t in = 0; in < hidden; ++in) {
      for (std::int64_t out = 0; out < hidden; ++out) {
        projection.weight[out * hidden + in] = static_cast<float>(map.weight[in * hidden + out]);
      }
    }
    projection.bias.assign(map.bias.begin(), map.bias.end());
    return projection;
  }

  // x + o of the original in this layer; goes on to the next layer's input.
  std::vector<float> OriginalResidual(ScoreCapture& capture, int layer, const TextBatch& batch) {
    // Begin tells the texts' lengths; the stream is then set to the layer's input.
    capture.Begin(batch.cu_seqlens, batch.ids, {});
    std::vector<float> residual = inputs_[batch.number];
    std::copy(residual.begin(), residual.end(), capture.hidden().data);
    capture.Attend(layer);
    capture.AddProjected(
        layer, {residual.data(), capture.hidden().rows, config_.hidden_size, config_.hidden_size});
    capture.Finish(layer);
    Keep(capture.hidden(), batch);
    return residual;
  }

  // Up to the contexts of `layer`.
  void RunConverted(ScoreCapture& capture, int layer, const TextBatch& batch) {
    capture.Begin(batch.cu_seqlens, batch.ids, {});
    for (int before = 0; before < layer; ++before) {
      capture.Attend(before, &sources_);
      capture.Finish(before, fitted_[before] ? &*fitted_[before] : nullptr);
    }
    capture.Attend(layer, &sources_);
  }

  void Keep(MatrixView<const float> hidden, const TextBatch& batch) {
    inputs_[batch.number].assign(hidden.data, hidden.data + hidden.rows * hidden.columns);
  }

  absl::StatusOr<std::vector<double>> TransposedOutput(int layer) const {
    namespace names = architectures::tensor_names;
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t shape[] = {hidden, hidden};
    REPRISE_ASSIGN_OR_RETURN(const std::vector<float> stored,
                             source_.Read(names::Weight(names::AttentionOutput(layer)), shape));
    std::vector<double> transposed(stored.size());
    for (std::int64_t out = 0; out < hidden; ++out) {
      for (std::int64_t in = 0; in < hidden; ++in) {
        transposed[in * hidden + out] = double{stored[out * hidden + in]};
      }
    }
    return transposed;
  }

  absl::StatusOr<ops::Linear> Pack(int layer, const OutputProjection& projection) const {
    return ops::Linear::Pack(projection.weight, projection.bias,
                             weights_.layers[layer].attention->output_projection.options());
  }

  const BertConfig& config_;
  const architectures::BertWeights& weights_;
  const weights::WeightSource& source_;
  const HeadSources& sources_;
  const Texts& texts_;
  const RefitOptions& options_;
  std::unique_ptr<TextWorkers> workers_;
  std::vector<std::vector<float>> inputs_;  // of each batch: the original's input of the layer
  std::vector<std::optional<ops::Linear>> fitted_;
  int done_ = 0, total_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<std::optional<OutputProjection>>> RefitOutputs(
    const BertConfig& config, const architectures::BertWeights& weights,
    const weights::WeightSource& source, const HeadSources& sources, const Texts& texts,
    const RefitOptions& options) {
  const std::int64_t tokens = CountTokens(texts);
  const std::int64_t least = std::int64_t{kLeastTokensPerColumn} * config.hidden_size;
  if (tokens < least) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the texts have ", tokens, " tokens, too few to refit output projections of ",
        config.hidden_size, " columns; expected at least ", least, ", better 50 times as many"));
  }
  return Refit(config, weights, source, sources, texts, options).Run();
}

std::int64_t RefitBytes(const BertConfig& config, const Texts& texts, int threads) {
  const std::int64_t hidden = config.hidden_size;
  return CountTokens(texts) * hidden * static_cast<std::int64_t>(sizeof(float)) +
         threads * 2 * hidden * hidden * static_cast<std::int64_t>(sizeof(double) + sizeof(float));
}

}  // namespace reprise::engine::analysis
