// What sentence-transformers' files beside config.json say about turning tokens into one embedding.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/architectures/bert_config.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::architectures {

// Sets pooling, normalize and max_text_tokens of `config` from `directory`/modules.json, the
// pooling module's config.json and sentence_bert_config.json; leaves what no file mentions.
// InvalidArgument names the file and the value if the modules are not Transformer, Pooling (mean or
// cls) and optionally Normalize, or contradict config.json. Requires: `config` is otherwise
// complete.
absl::Status ReadSentenceConfig(const std::string& directory, BertConfig& config);

// The three steps of the above, on parsed JSON. ParseModules returns the folder of the pooling
// module, a plain name, or "" if there is none; ParsePooling reads that folder's config.json.
absl::StatusOr<std::string> ParseModules(const nlohmann::json& modules, BertConfig& config);
absl::Status ParsePooling(const nlohmann::json& pooling, BertConfig& config);
absl::Status ParseTextLimit(const nlohmann::json& sentence_config, BertConfig& config);

}  // namespace reprise::engine::architectures
