// What a checkpoint directory holds, and what running it will cost, without loading its weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_parameters.h"
#include "engine/model.h"
#include "engine/reuse/cost_model.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::server::commands {

struct Inspection {
  std::string directory;
  engine::architectures::BertConfig config;
  engine::architectures::BertParts parts;
  std::uint64_t file_bytes = 0;  // of all tensors in the weight files
  bool has_tokenizer = false;    // tokenizer.json: the model accepts text
  engine::Precision auto_precision = engine::Precision::kF32;  // on this machine
  struct Length {
    std::int64_t seq_len = 0;
    engine::reuse::PlanSavings savings;  // of one sequence, in auto_precision, scores stored
  };
  std::vector<Length> lengths;
};

// The model's outputs, as clients name them.
std::vector<std::string> OutputNames(const Inspection& inspection);

// InvalidArgument or NotFound says what is wrong with the directory, or names the length that the
// model cannot run. Empty `seq_lens`: 128, 512 and the model's longest, as far as it reaches.
absl::StatusOr<Inspection> Inspect(const std::string& directory,
                                   std::vector<std::int64_t> seq_lens);

nlohmann::ordered_json ToJson(const Inspection& inspection);
// A page for a terminal: shape, reuse map, predicted cost and memory.
std::string ToText(const Inspection& inspection);

}  // namespace reprise::server::commands
