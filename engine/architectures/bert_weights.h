// A BERT-style encoder's weights, packed for the CPU.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/layers/encoder_layer.h"
#include "engine/tensor/dtype.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::architectures {

// Embedding tables stay in fp32: they are read a row at a time, never multiplied.
struct BertWeights {
  std::vector<float> token_embeddings;     // [vocab_size, hidden_size]
  std::vector<float> position_embeddings;  // [max_position_embeddings, hidden_size]
  std::vector<float> type_embeddings;      // [type_vocab_size, hidden_size]
  layers::LayerNorm embedding_norm;
  std::vector<layers::EncoderLayer> layers;
  std::optional<layers::LayerNorm> final_norm;
  std::optional<ops::Linear> pooler;  // with tanh
  std::optional<ops::Linear> classifier;
  std::int64_t packed_bytes = 0;  // of everything above
};

// Reads every tensor that the config's plan needs, one layer at a time, and packs it. `parts` as
// found by FindParts. Errors of the source, or Unimplemented when the CPU cannot multiply
// `precision`.
absl::StatusOr<BertWeights> PackBertWeights(const BertConfig& config, const BertParts& parts,
                                            const weights::WeightSource& source, DType precision);

}  // namespace reprise::engine::architectures
