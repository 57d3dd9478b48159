// Writes a reference model as the directory that Hugging Face users have: config.json and
// safetensors, plus modules.json and 1_Pooling for a sentence embedding.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"
#include "tests/reference/bert.h"
#include "tests/reference/number_format.h"

namespace reprise::reference {

struct CheckpointOptions {
  NumberFormat format = NumberFormat::kF32;
  bool bert_prefix = false;  // "bert.encoder..." as in files of BertForSequenceClassification
  int num_shards = 1;        // > 1: model-00001-of-0000N.safetensors and an index
  bool position_ids_buffer = false;  // an I64 tensor that older exports carry and nobody needs
};

// Creates `directory`. Requires: the weights were rounded to options.format.
void WriteCheckpoint(const std::filesystem::path& directory, const BertModel& model,
                     const CheckpointOptions& options = {});

// The config.json of `model`, for tests that change a key before writing it.
nlohmann::json ConfigJson(const BertModel& model);
// The value of its key "attention_reuse"; null for an exact model.
nlohmann::json ReuseJson(const ReuseRecipe& recipe);

// Calls `visit` with each tensor's name (without "bert."), shape and values, in file order.
using TensorVisitor = std::function<void(const std::string& name, const std::vector<int>& shape,
                                         const std::vector<double>& values)>;
void VisitTensors(const BertModel& model, const TensorVisitor& visit);

}  // namespace reprise::reference
