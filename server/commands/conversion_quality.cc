#include "server/commands/conversion_quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "engine/check.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "nlohmann/json.hpp"
#include "server/commands/bench_batch.h"

namespace reprise::server::commands {
namespace {

using Vectors = std::vector<std::vector<float>>;

constexpr std::size_t kNeighbours = 10;
constexpr std::int64_t kBatchTokens = 1024;  // of texts that run together

// Texts [first, end) that fit into a batch.
std::size_t EndOfBatch(const TokenizedTexts& texts, std::size_t first, std::int64_t max_tokens) {
  std::int64_t tokens = 0;
  std::size_t end = first;
  while (end < texts.size()) {
    tokens += static_cast<std::int64_t>(texts[end].size());
    if (tokens > max_tokens) break;
    ++end;
  }
  return end;
}

void AppendRows(const engine::MatrixView<const float>& view, std::int64_t row, Vectors* vectors) {
  vectors->emplace_back(view.row(row), view.row(row) + view.columns);
}

Vectors Normalized(const Vectors& vectors) {
  Vectors unit = vectors;
  for (std::vector<float>& vector : unit) {
    const double squares = std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0);
    for (float& value : vector) value /= static_cast<float>(std::sqrt(std::max(squares, 1e-30)));
  }
  return unit;
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double product = 0, a_squares = 0, b_squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    a_squares += double{a[i]} * a[i];
    b_squares += double{b[i]} * b[i];
  }
  return product / std::max(std::sqrt(a_squares * b_squares), 1e-30);
}

// Of each text the nearest others, nearest first.
std::vector<std::vector<std::size_t>> Neighbours(const Vectors& vectors) {
  const Vectors unit = Normalized(vectors);
  const std::size_t wanted = std::min(kNeighbours, unit.size() - 1);
  std::vector<std::vector<std::size_t>> nearest(unit.size());
  std::vector<float> likeness(unit.size());
  for (std::size_t i = 0; i < unit.size(); ++i) {
    for (std::size_t j = 0; j < unit.size(); ++j) {
      likeness[j] = std::inner_product(unit[i].begin(), unit[i].end(), unit[j].begin(), 0.0f);
      if (j != i) nearest[i].push_back(j);
    }
    std::partial_sort(nearest[i].begin(), nearest[i].begin() + static_cast<std::ptrdiff_t>(wanted),
                      nearest[i].end(),
                      [&](std::size_t a, std::size_t b) { return likeness[a] > likeness[b]; });
    nearest[i].resize(wanted);
  }
  return nearest;
}

// Share of `a` that is in `b`.
double Overlap(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
  const auto shared = std::count_if(a.begin(), a.end(), [&](std::size_t text) {
    return std::find(b.begin(), b.end(), text) != b.end();
  });
  return static_cast<double>(shared) / static_cast<double>(a.size());
}

}  // namespace

absl::StatusOr<ModelAnswers> AnswersOf(const std::string& directory, const TokenizedTexts& texts,
                                       int threads) {
  REPRISE_ASSIGN_OR_RETURN(const auto model,
                           engine::Model::Load(directory, {.precision = engine::Precision::kF32}));
  engine::ExecutorOptions options;
  options.threads = threads;
  options.max_batch_tokens = kBatchTokens;
  for (const auto& text : texts) {
    options.max_batch_tokens =
        std::max(options.max_batch_tokens, static_cast<std::int64_t>(text.size()));
  }
  options.max_batch_sequences = kBatchTokens;
  REPRISE_ASSIGN_OR_RETURN(const auto executor, engine::Executor::Create(model, options));
  engine::OutputSet wanted;
  wanted.sentence_embedding = model->config().pooling != engine::architectures::Pooling::kNone;
  wanted.pooler_output = !wanted.sentence_embedding && model->has_pooler();
  wanted.last_hidden_state = !wanted.sentence_embedding && !wanted.pooler_output;
  wanted.logits = model->num_labels() > 0;
  ModelAnswers answers;
  for (std::size_t first = 0; first < texts.size();) {
    const std::size_t end = EndOfBatch(texts, first, options.max_batch_tokens);
    TokenBatch batch;
    for (std::size_t text = first; text < end; ++text) batch.Add(texts[text]);
    engine::Outputs outputs;
    REPRISE_RETURN_IF_ERROR(executor->Run(batch.view(), wanted, &outputs));
    for (std::size_t i = 0; i < end - first; ++i) {
      const auto row = static_cast<std::int64_t>(i);
      if (wanted.sentence_embedding) {
        AppendRows(outputs.sentence_embedding, row, &answers.vectors);
      } else if (wanted.pooler_output) {
        AppendRows(outputs.pooler_output, row, &answers.vectors);
      } else {
        AppendRows(outputs.last_hidden_state, batch.cu_seqlens[i], &answers.vectors);
      }
      if (!wanted.logits) continue;
      const float* logits = outputs.logits.row(row);
      answers.labels.push_back(
          static_cast<int>(std::max_element(logits, logits + outputs.logits.columns) - logits));
    }
    first = end;
  }
  return answers;
}

ConversionQuality Compare(const ModelAnswers& original, const ModelAnswers& converted) {
  const std::size_t texts = original.vectors.size();
  REPRISE_CHECK(texts >= 2 && converted.vectors.size() == texts);
  REPRISE_CHECK(original.labels.size() == converted.labels.size());
  const auto count = static_cast<double>(texts);
  ConversionQuality quality;
  quality.texts = static_cast<std::int64_t>(texts);
  std::vector<double> cosines;
  for (std::size_t i = 0; i < texts; ++i) {
    cosines.push_back(Cosine(original.vectors[i], converted.vectors[i]));
    quality.mean_cosine += cosines.back() / count;
  }
  std::sort(cosines.begin(), cosines.end());
  quality.fifth_percentile = cosines[(texts - 1) / 20];
  const auto before = Neighbours(original.vectors), after = Neighbours(converted.vectors);
  for (std::size_t i = 0; i < texts; ++i) {
    quality.neighbour_agreement += (before[i][0] == after[i][0]) / count;
    quality.ten_neighbours_agreement += Overlap(before[i], after[i]) / count;
  }
  if (!original.labels.empty()) {
    double same = 0;
    for (std::size_t i = 0; i < texts; ++i) same += original.labels[i] == converted.labels[i];
    quality.label_agreement = same / count;
  }
  return quality;
}

nlohmann::ordered_json ToJson(const ConversionQuality& quality) {
  nlohmann::ordered_json json = {{"texts", quality.texts},
                                 {"mean_cosine", quality.mean_cosine},
                                 {"fifth_percentile_cosine", quality.fifth_percentile},
                                 {"neighbour_agreement", quality.neighbour_agreement},
                                 {"ten_neighbours_agreement", quality.ten_neighbours_agreement}};
  if (quality.label_agreement) json["label_agreement"] = *quality.label_agreement;
  return json;
}

}  // namespace reprise::server::commands
