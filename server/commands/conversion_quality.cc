#include "server/commands/conversion_quality.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/check.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "nlohmann/json.hpp"

namespace reprise::server::commands {
namespace {

using Vectors = std::vector<std::vector<float>>;

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double product = 0, a_squares = 0, b_squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    a_squares += double{a[i]} * a[i];
    b_squares += double{b[i]} * b[i];
  }
  return product / std::max(std::sqrt(a_squares * b_squares), 1e-30);
}

absl::StatusOr<Vectors> VectorsOf(const std::string& directory, const TokenizedTexts& texts,
                                  int threads) {
  REPRISE_ASSIGN_OR_RETURN(const auto model,
                           engine::Model::Load(directory, {.precision = engine::Precision::kF32}));
  std::size_t longest = 0;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  engine::ExecutorOptions options;
  options.threads = threads;
  options.max_batch_tokens = static_cast<std::int64_t>(longest);
  options.max_batch_sequences = 1;
  REPRISE_ASSIGN_OR_RETURN(const auto executor, engine::Executor::Create(model, options));
  engine::OutputSet wanted;
  wanted.sentence_embedding = model->config().pooling != engine::architectures::Pooling::kNone;
  wanted.pooler_output = !wanted.sentence_embedding && model->has_pooler();
  wanted.last_hidden_state = !wanted.sentence_embedding && !wanted.pooler_output;
  Vectors vectors;
  for (const auto& text : texts) {
    const std::int32_t cu_seqlens[] = {0, static_cast<std::int32_t>(text.size())};
    engine::Outputs outputs;
    REPRISE_RETURN_IF_ERROR(executor->Run({cu_seqlens, text, {}, {}}, wanted, &outputs));
    const engine::MatrixView<const float>& view =
        wanted.sentence_embedding ? outputs.sentence_embedding
        : wanted.pooler_output    ? outputs.pooler_output
                                  : outputs.last_hidden_state;
    vectors.emplace_back(view.row(0), view.row(0) + view.columns);
  }
  return vectors;
}

// Of each vector the nearest other one.
std::vector<std::size_t> Neighbours(const Vectors& vectors) {
  std::vector<std::size_t> nearest;
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    std::size_t best = i == 0 ? 1 : 0;
    double largest = -2;
    for (std::size_t j = 0; j < vectors.size(); ++j) {
      if (j == i) continue;
      const double cosine = Cosine(vectors[i], vectors[j]);
      if (cosine > largest) {
        largest = cosine;
        best = j;
      }
    }
    nearest.push_back(best);
  }
  return nearest;
}

}  // namespace

absl::StatusOr<ConversionQuality> JudgeConversion(const std::string& original,
                                                  const std::string& converted,
                                                  const TokenizedTexts& texts, int threads) {
  REPRISE_CHECK(texts.size() >= 2);
  REPRISE_ASSIGN_OR_RETURN(const Vectors before, VectorsOf(original, texts, threads));
  REPRISE_ASSIGN_OR_RETURN(const Vectors after, VectorsOf(converted, texts, threads));
  std::vector<double> cosines;
  for (std::size_t i = 0; i < texts.size(); ++i) cosines.push_back(Cosine(before[i], after[i]));
  std::sort(cosines.begin(), cosines.end());
  ConversionQuality quality;
  quality.texts = static_cast<std::int64_t>(texts.size());
  for (const double cosine : cosines) {
    quality.mean_cosine += cosine / static_cast<double>(cosines.size());
  }
  quality.fifth_percentile = cosines[(cosines.size() - 1) / 20];
  const std::vector<std::size_t> old_neighbours = Neighbours(before);
  const std::vector<std::size_t> new_neighbours = Neighbours(after);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    quality.neighbour_agreement +=
        (old_neighbours[i] == new_neighbours[i]) / static_cast<double>(texts.size());
  }
  return quality;
}

nlohmann::ordered_json ToJson(const ConversionQuality& quality) {
  return {{"texts", quality.texts},
          {"mean_cosine", quality.mean_cosine},
          {"fifth_percentile_cosine", quality.fifth_percentile},
          {"neighbour_agreement", quality.neighbour_agreement}};
}

}  // namespace reprise::server::commands
