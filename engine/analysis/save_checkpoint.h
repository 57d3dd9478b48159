// Writes any weights as a checkpoint directory that other programs load as well.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/architectures/bert_config.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::analysis {

// Writes `directory` (new or empty): config.json, model.safetensors in F32 and, if the config
// pools, sentence-transformers' files. Tensors are read one at a time. Hugging Face's BertModel
// (with a classifier: BertForSequenceClassification) loads the result of an exact plan without
// norm_first, final_layer_norm or relative positions, which it does not know. There is no
// tokenizer: inputs are ids.
// AlreadyExists if there is something at `directory`, else the errors of CheckParameters and of
// writing. The directory appears whole or not at all.
absl::Status SaveCheckpoint(const architectures::BertConfig& config,
                            const weights::WeightSource& source, const std::string& directory);

}  // namespace reprise::engine::analysis
