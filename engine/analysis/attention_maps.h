// The attention matrices of chosen heads on one text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/analysis/head_pairs.h"
#include "engine/architectures/bert_config.h"
#include "engine/architectures/bert_weights.h"

namespace reprise::engine::analysis {

struct PairMaps {
  HeadPair heads;
  double similarity = 0;             // on this text
  std::vector<float> first, second;  // [tokens, tokens]: rows are queries, columns keys
};

struct AttentionMaps {
  std::vector<std::string> tokens;  // as the tokenizer writes them
  std::vector<PairMaps> pairs;
};

// The errors of AnalyzeSimilarity. Requires: as many tokens as ids, pairs that the model has.
absl::StatusOr<AttentionMaps> CaptureMaps(const architectures::BertConfig& config,
                                          const architectures::BertWeights& weights,
                                          const std::vector<std::int32_t>& ids,
                                          const std::vector<std::string>& tokens,
                                          const std::vector<HeadPair>& pairs);

}  // namespace reprise::engine::analysis
