// What was measured of a model's heads, for programs; report_page.h is for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/analysis/attention_maps.h"
#include "engine/analysis/similarity_table.h"
#include "engine/reuse/reuse_plan.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::analysis {

// What was analysed, as the report says it.
struct AnalysisSubject {
  std::string model;
  std::int64_t tokens = 0;      // of all texts
  std::int64_t max_tokens = 0;  // that a text was cut to
};

// The same model with weights drawn from a seed, on the same texts.
struct RandomBaseline {
  std::uint64_t seed = 0;
  SimilarityTable table;
};

// What a plan of that budget would reuse, by similarity.
struct ReuseChoice {
  double budget = 0;  // share of all heads
  reuse::ReusePlan plan;
};
// InvalidArgument when the budget asks for more heads than a plan can reuse. Requires: 0 to 1.
absl::StatusOr<ReuseChoice> ChooseReuse(const SimilarityTable& table, double budget);

struct SimilarityReport {
  AnalysisSubject subject;
  SimilarityTable table;                 // of one text or more
  std::optional<RandomBaseline> random;  // nothing: not measured
  AttentionMaps maps;                    // may have no pairs
  std::optional<ReuseChoice> reuse;      // nothing: a single layer
};

// docs/analysis.md describes it.
nlohmann::ordered_json ToJson(const SimilarityReport& report);

}  // namespace reprise::engine::analysis
