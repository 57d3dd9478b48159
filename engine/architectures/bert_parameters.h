// The tensors that a BERT of a given shape and reuse plan consists of.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/weights/row_blocks.h"
#include "engine/weights/tensor_spec.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::architectures {

// What a checkpoint may have on top of the encoder.
struct BertParts {
  bool pooler = false;  // pooler.dense.*
  int num_labels = 0;   // rows of classifier.weight; 0: no classifier
};

// Every tensor by name and shape, [out, in] for projections, in the order of computation:
// embeddings, layers, pooler, classifier. Query and key have head_dim rows per computed head of the
// layer, and are absent when it computes none; a layer without attention has no tensor of its
// attention.
std::vector<weights::TensorSpec> BertParameters(const BertConfig& config, const BertParts& parts);

// Elements of all tensors together.
std::int64_t ParameterCount(const std::vector<weights::TensorSpec>& parameters);

// The optional parts that `source` has. InvalidArgument if the classifier contradicts the config's
// labels or stands without the pooler that feeds it.
absl::StatusOr<BertParts> FindParts(const BertConfig& config, const weights::WeightSource& source);

// OK if `source` has every tensor of BertParameters in the shape asked for, and no query or key
// tensor that the plan says is absent. Otherwise NotFound or InvalidArgument, naming the tensor,
// what was found and what was expected, and for what depends on it the layer's reuse. Looks at
// names and shapes only, so that nothing is allocated for a config that does not belong to these
// weights.
absl::Status CheckParameters(const BertConfig& config, const BertParts& parts,
                             const weights::WeightSource& source);

// How the config's plan thins out an exact model of the same shape, for PlannedSource and
// ExactFillSource. Empty for an exact plan.
weights::RowBlockMap PlannedRowBlocks(const BertConfig& config);

}  // namespace reprise::engine::architectures
