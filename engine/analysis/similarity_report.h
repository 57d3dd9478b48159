// A similarity table for programs and for people.
#pragma once

#include <cstdint>
#include <string>

#include "engine/analysis/similarity_table.h"
#include "nlohmann/json_fwd.hpp"

namespace reprise::engine::analysis {

// What was analysed, as the report says it.
struct AnalysisSubject {
  std::string model;
  std::int64_t tokens = 0;      // of all texts
  std::int64_t max_tokens = 0;  // that a text was cut to
};

// {"model", "texts", "tokens", "max_tokens", "layers", "heads",
//  "similarity", "standard_error": rows of the whole table, head h of layer l in row l * heads + h,
//  "best_pairs": SimilarityTable::BestPairs in rows, "ranked_matches": RankedMatches in rows}
nlohmann::ordered_json ToJson(const SimilarityTable& table, const AnalysisSubject& subject);

// A page of its own, without scripts or links: best pairs of layers, ranked matches of neighbouring
// layers, the whole table as a picture, and what each means.
std::string ToHtml(const SimilarityTable& table, const AnalysisSubject& subject);

}  // namespace reprise::engine::analysis
