// A small model with random weights, for tests of the executor that need no particular numbers.
#pragma once

#include <memory>
#include <utility>

#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/model.h"
#include "engine/weights/random_source.h"
#include "tests/status_matchers.h"

namespace reprise::engine {

// 4 layers of 4 heads, 2 heads reused in layers 2 and 3; 50 words, 12 positions.
inline architectures::BertConfig TinyConfig() {
  architectures::BertConfig config;
  config.num_layers = 4;
  config.num_heads = 4;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.vocab_size = 50;
  config.max_position_embeddings = 12;
  config.type_vocab_size = 2;
  config.plan = *reuse::ReusePlan::Proposed(4, 4, 2, 2);
  return config;
}

inline std::shared_ptr<const Model> TinyModel(Precision precision,
                                              const architectures::BertConfig& config) {
  const weights::RandomSource source(architectures::BertParameters(config, {}), /*seed=*/1);
  auto model = Model::Create(config, source, {.precision = precision});
  EXPECT_OK(model);
  return model.ok() ? *std::move(model) : nullptr;
}

}  // namespace reprise::engine
