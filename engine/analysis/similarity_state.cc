#include "engine/analysis/similarity_state.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "nlohmann/json.hpp"

namespace reprise::engine::analysis {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "reprise analyze state 1";

Json ToJson(const SimilarityTable& table) {
  const SimilarityTable::Sums& sums = table.sums();
  std::vector<std::uint64_t> high, low;
  for (const absl::uint128 square : sums.squares) {
    high.push_back(absl::Uint128High64(square));
    low.push_back(absl::Uint128Low64(square));
  }
  return {{"texts", sums.texts},
          {"similarities", sums.similarities},
          {"squares_high", high},
          {"squares_low", low}};
}

absl::Status Damaged(const std::string& path, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' is no state of reprise analyze: ", std::string(why),
                   "; give another file to --resume, or delete it to start again"));
}

bool IsCount(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_number_unsigned();
}

bool IsText(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string();
}

// Nothing unless `object` has an array of counts there.
std::vector<std::uint64_t> Counts(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_array()) return {};
  std::vector<std::uint64_t> counts;
  for (const Json& value : object[key]) {
    if (!value.is_number_unsigned()) return {};
    counts.push_back(value.get<std::uint64_t>());
  }
  return counts;
}

absl::StatusOr<SimilarityTable> ParseTable(const Json& json, const SimilarityState& state,
                                           const std::string& path) {
  if (!json.is_object() || !IsCount(json, "texts")) return Damaged(path, "a table has no texts");
  const auto texts = json["texts"].get<std::uint64_t>();
  if (texts > static_cast<std::uint64_t>(state.num_texts)) {
    return Damaged(
        path, absl::StrCat("a table is of ", texts, " texts where there are ", state.num_texts));
  }
  SimilarityTable::Sums sums;
  sums.texts = static_cast<std::int64_t>(texts);
  sums.similarities = Counts(json, "similarities");
  const std::vector<std::uint64_t> high = Counts(json, "squares_high");
  const std::vector<std::uint64_t> low = Counts(json, "squares_low");
  if (high.size() != low.size()) return Damaged(path, "a table's squares are not whole");
  for (std::size_t pair = 0; pair < high.size(); ++pair) {
    sums.squares.push_back(absl::MakeUint128(high[pair], low[pair]));
  }
  auto table = SimilarityTable::FromSums(state.layers, state.heads, std::move(sums));
  if (!table.ok()) return Damaged(path, std::string(table.status().message()));
  return table;
}

}  // namespace

std::string ToText(const SimilarityState& state) {
  Json tables = Json::object();
  for (const auto& [weights, table] : state.tables) tables[weights] = ToJson(table);
  return Json{{"format", kFormat},          {"model", state.model},
              {"texts", state.texts},       {"num_texts", state.num_texts},
              {"layers", state.layers},     {"heads", state.heads},
              {"tables", std::move(tables)}}
      .dump();
}

absl::StatusOr<SimilarityState> ParseSimilarityState(std::string_view text,
                                                     const std::string& path) {
  const auto parsed = weights::ParseJson(text, path);
  if (!parsed.ok()) return Damaged(path, "it is not JSON");
  const Json& json = *parsed;
  if (!json.is_object() || !IsText(json, "format")) return Damaged(path, "it names no format");
  if (json["format"] != kFormat) {
    return Damaged(path, absl::StrCat("its format is ", weights::JsonText(json["format"]),
                                      ", expected \"", kFormat, "\""));
  }
  if (!IsText(json, "model") || !IsText(json, "texts") || !IsCount(json, "num_texts") ||
      !IsCount(json, "layers") || !IsCount(json, "heads") || !json.contains("tables") ||
      !json["tables"].is_object()) {
    return Damaged(path, "a key is missing");
  }
  SimilarityState state;
  state.model = json["model"];
  state.texts = json["texts"];
  const auto texts = json["num_texts"].get<std::uint64_t>();
  const auto layers = json["layers"].get<std::uint64_t>();
  const auto heads = json["heads"].get<std::uint64_t>();
  if (texts > std::uint64_t{1} << 32 || layers < 1 || layers > reuse::kMaxLayers || heads < 1 ||
      heads > reuse::kMaxHeads) {
    return Damaged(path, "no model has such numbers of layers, heads and texts");
  }
  state.num_texts = static_cast<std::int64_t>(texts);
  state.layers = static_cast<int>(layers);
  state.heads = static_cast<int>(heads);
  for (const auto& [name, table] : json["tables"].items()) {
    REPRISE_ASSIGN_OR_RETURN(SimilarityTable one, ParseTable(table, state, path));
    state.tables.emplace(name, std::move(one));
  }
  return state;
}

absl::Status CheckBelongsTo(const SimilarityState& state, const SimilarityState& wanted,
                            const std::string& path) {
  const auto refuse = [&](std::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is the state of a measurement of ", std::string(what),
                     "; give another file to --resume, or delete it to start again"));
  };
  if (state.layers != wanted.layers || state.heads != wanted.heads) {
    return refuse(absl::StrCat("a model of ", state.layers, " layers with ", state.heads,
                               " heads, not of ", wanted.layers, " with ", wanted.heads));
  }
  if (state.model != wanted.model) return refuse("a model with other weights");
  if (state.num_texts != wanted.num_texts) {
    return refuse(absl::StrCat(state.num_texts, " texts, not of ", wanted.num_texts,
                               ": were --text, --max-texts, --max-tokens and --seed the same?"));
  }
  if (state.texts != wanted.texts) {
    return refuse("other texts: were --text, --max-texts, --max-tokens and --seed the same?");
  }
  return absl::OkStatus();
}

}  // namespace reprise::engine::analysis
