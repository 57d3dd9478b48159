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
#include "server/commands/strategy_forecast.h"

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
  int threads = 1;                           // that the strategies are predicted for
  std::vector<StrategyForecast> strategies;  // in auto_precision; empty when nothing is reused
};

// The model's outputs, as clients name them.
std::vector<std::string> OutputNames(const Inspection& inspection);

// InvalidArgument or NotFound says what is wrong with the directory, or names the length that the
// model cannot run. Empty `seq_lens`: 128, 512 and the model's longest, as far as it reaches.
// Strategies are predicted for `threads` threads; heads are measured for that, 0.1 s or so.
absl::StatusOr<Inspection> Inspect(const std::string& directory, std::vector<std::int64_t> seq_lens,
                                   int threads);

nlohmann::ordered_json ToJson(const Inspection& inspection);
// A page for a terminal: shape, reuse map, predicted cost and memory.
std::string ToText(const Inspection& inspection);

}  // namespace reprise::server::commands
