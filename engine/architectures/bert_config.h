// The shape of a BERT-style encoder, read from a checkpoint directory's JSON files.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/activation.h"
#include "engine/reuse/reuse_plan.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::architectures {

enum class Pooling { kNone, kMean, kCls };

// hidden_size = num_heads * head_dim. Defaults are those of Hugging Face's BertConfig where a key
// may be absent.
struct BertConfig {
  int num_layers = 0;
  int num_heads = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int vocab_size = 0;
  int max_position_embeddings = 0;
  int type_vocab_size = 0;
  float layer_norm_eps = 1e-12f;
  Activation activation = Activation::kGeluErf;
  bool norm_first = false;        // pre-LN blocks: x + f(LN(x))
  bool final_layer_norm = false;  // tensor encoder.final_layer_norm.*
  int relative_position_max =
      0;  // M of the clipped relative position table [computed heads, 2M-1]; 0: none
  std::vector<std::string>
      labels;  // of the classification head when the checkpoint has one; may be empty
  Pooling pooling = Pooling::kNone;  // of the output sentence_embedding; kNone: no such output
  bool normalize = false;            // divide the sentence embedding by its L2 norm
  int max_text_tokens = 0;           // limit for text, special tokens included
  reuse::ReusePlan plan;

  int head_dim() const { return hidden_size / num_heads; }
};

// Reads config.json's object. InvalidArgument names the key, the value found and what was expected
// (missing, wrong type, contradiction, out of range, an architecture that is not BERT). Unknown
// keys are ignored. max_text_tokens becomes max_position_embeddings.
absl::StatusOr<BertConfig> ParseBertConfig(const nlohmann::json& config);

// ParseBertConfig on `directory`/config.json, plus pooling and Normalize from modules.json and
// 1_Pooling/config.json and the text limit from sentence_bert_config.json where these files exist.
absl::StatusOr<BertConfig> ReadBertConfig(const std::string& directory);

// The config.json object that ParseBertConfig reads back equal.
nlohmann::json ToJson(const BertConfig& config);

}  // namespace reprise::engine::architectures
