// A model of the reference as the engine loads it.
#pragma once

#include <memory>
#include <numeric>

#include "engine/analysis/score_capture.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/architectures/bert_weights.h"
#include "engine/weights/checkpoint.h"
#include "gtest/gtest.h"
#include "tests/reference/bert.h"
#include "tests/reference/checkpoint_writer.h"
#include "tests/reference/random_model.h"
#include "tests/status_matchers.h"
#include "tests/temporary_directory.h"

namespace reprise::engine::analysis {

struct LoadedModel {
  testing::TemporaryDirectory directory;
  architectures::BertConfig config;
  std::unique_ptr<const weights::Checkpoint> checkpoint;
  architectures::BertWeights weights;  // fp32
};

inline std::unique_ptr<LoadedModel> Load(const reference::BertModel& model) {
  auto loaded = std::make_unique<LoadedModel>();
  reference::WriteCheckpoint(loaded->directory.path(), model, {});
  loaded->config = *architectures::ReadBertConfig(loaded->directory.path());
  auto checkpoint = weights::Checkpoint::Open(loaded->directory.path());
  EXPECT_OK(checkpoint);
  loaded->checkpoint = *std::move(checkpoint);
  const auto parts = architectures::FindParts(loaded->config, *loaded->checkpoint);
  EXPECT_OK(parts);
  auto weights =
      architectures::PackBertWeights(loaded->config, *parts, *loaded->checkpoint, DType::kF32);
  EXPECT_OK(weights);
  loaded->weights = *std::move(weights);
  return loaded;
}

// A small model whose heads all compute, and the same one converted: some heads of its later layers
// take others' scores, their values scaled.
struct ConvertedPair {
  reference::BertModel original;
  reference::BertModel converted;
  HeadSources sources;
};

// `original` with head `head` of `layer` taking the scores of `source`: without its own queries and
// keys. Requires: of a layer, the last head first.
inline void ReuseScores(reference::BertModel& model, int layer, int head,
                        reference::HeadRef source) {
  reference::ReuseRecipe& reuse = model.config.reuse;
  if (reuse.kind == reference::ReuseRecipe::Kind::kExact) {
    reuse.kind = reference::ReuseRecipe::Kind::kTable;
    reuse.table = reference::ExactMap(model.config.num_layers, model.config.num_heads);
  }
  reuse.table.source[layer][head] = source;
  const int dim = model.config.head_dim(), first = head * dim;
  for (reference::DenseWeights* dense :
       {&model.weights.layers[layer].query, &model.weights.layers[layer].key}) {
    dense->weight.erase(dense->weight.begin() + first, dense->weight.begin() + first + dim);
    dense->bias.erase(dense->bias.begin() + first, dense->bias.begin() + first + dim);
  }
}

inline ConvertedPair MakeConvertedPair(bool norm_first, reference::Random& random) {
  reference::BertConfig config;
  config.num_layers = 3;
  config.hidden_size = 16;
  config.num_heads = 4;
  config.intermediate_size = 24;
  config.norm_first = norm_first;
  config.pooling = reference::Pooling::kMean;
  ConvertedPair pair;
  pair.original = RandomModel(config, reference::NumberFormat::kF32, random);
  pair.converted = pair.original;
  pair.sources.source.resize(12);
  std::iota(pair.sources.source.begin(), pair.sources.source.end(), 0);
  pair.sources.value_scale.assign(12, 1);
  for (const reference::BertLayerWeights& layer : pair.original.weights.layers) {
    for (const double bias : layer.value.bias) {
      pair.sources.value_bias.push_back(static_cast<float>(bias));
    }
  }
  const auto reuse = [&](int layer, int head, reference::HeadRef source, float scale) {
    ReuseScores(pair.converted, layer, head, source);
    pair.sources.source[layer * 4 + head] = source.layer * 4 + source.head;
    pair.sources.value_scale[layer * 4 + head] = scale;
    for (int row = head * 4; row < head * 4 + 4; ++row) {
      for (double& weight : pair.converted.weights.layers[layer].value.weight[row]) weight *= scale;
    }
  };
  reuse(1, 2, {0, 1}, 0.5f);
  reuse(2, 3, {1, 1}, 1.25f);
  reuse(2, 0, {0, 3}, 0.75f);
  return pair;
}

inline std::vector<std::int32_t> Ids(const reference::Sequence& sequence) {
  return {sequence.ids.begin(), sequence.ids.end()};
}

// Texts of any length, type 0.
inline std::vector<std::vector<std::int32_t>> RandomTexts(const reference::BertConfig& config,
                                                          int count, reference::Random& random) {
  std::vector<std::vector<std::int32_t>> texts;
  for (int i = 0; i < count; ++i) {
    texts.push_back(Ids(reference::RandomSequence(config, random.Integer(1, 20), random)));
  }
  return texts;
}

inline reference::Sequence SequenceOf(const std::vector<std::int32_t>& text) {
  return reference::MakeSequence({text.begin(), text.end()});
}

}  // namespace reprise::engine::analysis
