// golden.json: sample inputs of a version, and the outputs that it must give for them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::server::repository {

inline constexpr const char* kGoldenFile = "golden.json";  // beside config.json

// One vector for sentence_embedding, pooler_output and logits; one per token for last_hidden_state.
using GoldenVectors = std::vector<std::vector<float>>;

// Exactly one of `text` and `input_ids`.
struct GoldenSample {
  std::optional<std::string> text;
  std::vector<std::int64_t> input_ids;
  std::vector<std::int64_t> token_type_ids;      // as many as input_ids, or none: all 0
  std::map<std::string, GoldenVectors> outputs;  // by name, at least one
};

// A value may differ by either bound or both; one of them must be there.
struct GoldenTolerance {
  std::optional<double> max_abs;     // of the difference of two values; >= 0
  std::optional<double> min_cosine;  // of each vector with the expected one; -1 to 1
};

struct GoldenFile {
  GoldenTolerance tolerance;
  std::vector<GoldenSample> samples;  // at least one
};

// InvalidArgument names the sample and key, what was found and what was expected.
absl::StatusOr<GoldenFile> ParseGolden(const nlohmann::json& json);
// What ParseGolden reads back equal.
nlohmann::json ToJson(const GoldenFile& golden);

}  // namespace reprise::server::repository
