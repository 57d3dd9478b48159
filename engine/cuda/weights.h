// A BERT-style encoder's weights in device memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/cuda/attention.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/rows.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::cuda {

struct Norm {
  DeviceBuffer gamma;  // fp32
  DeviceBuffer beta;
  float eps = 1e-12f;

  NormWeights view() const { return {gamma.as<float>(), beta.as<float>(), eps}; }
};

struct AttentionSublayer {
  Dense input_projection;  // see AttentionArgs::projected; heads padded to padded_head_dim
  Dense output_projection;
  Norm norm;
  DeviceBuffer relative_bias;  // fp32 [computed heads, 2 * max_distance - 1], or empty
  DeviceBuffer roles;          // HeadRole [heads]
};

struct Layer {
  std::optional<AttentionSublayer> attention;
  Dense up;
  Dense down;
  Norm norm;
};

// fp32, for one row per sequence.
struct SmallDense {
  DeviceBuffer weight;
  DeviceBuffer bias;
};

struct Weights {
  DeviceBuffer token_embeddings;  // fp32, [vocab_size, hidden_size]
  DeviceBuffer position_embeddings;
  DeviceBuffer type_embeddings;
  Norm embedding_norm;
  std::vector<Layer> layers;
  std::optional<Norm> final_norm;
  std::optional<SmallDense> pooler;
  std::optional<SmallDense> classifier;
  int padded_head_dim = 0;
  std::int64_t padded_intermediate_size = 0;
  std::int64_t bytes = 0;  // of everything above
};

// Reads every tensor that the config's plan needs, one layer at a time, and uploads it to the
// calling thread's device; matrices as bf16. `parts` as found by FindParts. Errors of the source,
// ResourceExhausted without device memory, Unimplemented for heads of more than 128 numbers and for
// a hidden_size that rows.h does not take.
absl::StatusOr<Weights> UploadWeights(const architectures::BertConfig& config,
                                      const architectures::BertParts& parts,
                                      const weights::WeightSource& source);

}  // namespace reprise::engine::cuda
