#include "engine/architectures/bert_cost.h"

namespace reprise::engine::architectures {

reuse::TransformerShape CostShape(const BertConfig& config, bool has_pooler, int num_labels) {
  reuse::TransformerShape shape;
  shape.num_layers = config.num_layers;
  shape.num_heads = config.num_heads;
  shape.hidden_size = config.hidden_size;
  shape.intermediate_size = config.intermediate_size;
  shape.head_dim = config.head_dim();
  shape.final_norm = config.final_layer_norm;
  shape.vocab_size = config.vocab_size;
  shape.max_position_embeddings = config.max_position_embeddings;
  shape.type_vocab_size = config.type_vocab_size;
  shape.relative_position_max = config.relative_position_max;
  shape.pooler = has_pooler;
  shape.num_labels = num_labels;
  return shape;
}

}  // namespace reprise::engine::architectures
