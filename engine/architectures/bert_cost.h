// A BERT-style encoder as the cost model sees it.
#pragma once

#include "engine/architectures/bert_config.h"
#include "engine/reuse/cost_model.h"

namespace reprise::engine::architectures {

// `config`'s dimensions, with the heads on top that the checkpoint has. num_labels 0: no
// classifier.
reuse::TransformerShape CostShape(const BertConfig& config, bool has_pooler, int num_labels);

}  // namespace reprise::engine::architectures
