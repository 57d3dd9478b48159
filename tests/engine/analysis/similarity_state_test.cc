#include "engine/analysis/similarity_state.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/status_matchers.h"

namespace reprise::engine::analysis {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

// Of two texts with the similarities 1/2 and 1/4 for all pairs.
SimilarityTable Table() {
  const std::uint64_t half = std::uint64_t{1} << 31, quarter = half / 2;
  SimilarityTable::Sums sums;
  sums.texts = 2;
  sums.similarities.assign(15, half + quarter);
  sums.squares.assign(15, absl::uint128(half) * half + absl::uint128(quarter) * quarter);
  return *SimilarityTable::FromSums(3, 2, std::move(sums));
}

SimilarityState State() {
  SimilarityState state = {"weights", "texts", 7, 3, 2, {}};
  state.tables.emplace("trained", Table());
  return state;
}

TEST(SimilarityState, ComesBackWhole) {
  const auto back = ParseSimilarityState(ToText(State()), "state");
  ASSERT_OK(back);
  EXPECT_OK(CheckBelongsTo(*back, State(), "state"));
  ASSERT_EQ(back->tables.size(), 1);
  const SimilarityTable& table = back->tables.at("trained");
  EXPECT_EQ(table.texts(), 2);
  EXPECT_EQ(table.sums().similarities, Table().sums().similarities);
  EXPECT_EQ(table.sums().squares, Table().sums().squares);
  EXPECT_EQ(table.mean(0, 5), 0.375);
  EXPECT_EQ(table.standard_error(0, 5), 0.125);
}

TEST(SimilarityState, AnotherMeasurementIsRefusedByWhatDiffers) {
  const auto refused = [](const char* words, auto change) {
    SimilarityState other = State();
    change(other);
    EXPECT_THAT(
        CheckBelongsTo(State(), other, "my.state"),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 ::testing::AllOf(HasSubstr("my.state"), HasSubstr(words), HasSubstr("--resume"))));
  };
  refused("other weights", [](SimilarityState& state) { state.model = "others"; });
  refused("other texts", [](SimilarityState& state) { state.texts = "others"; });
  refused("7 texts, not of 8", [](SimilarityState& state) { state.num_texts = 8; });
  refused("3 layers with 2 heads, not of 4", [](SimilarityState& state) { state.layers = 4; });
  refused("not of 3 with 6", [](SimilarityState& state) { state.heads = 6; });
}

TEST(SimilarityState, DamageIsNamed) {
  const auto refused = [](const std::string& text, const char* words) {
    EXPECT_THAT(ParseSimilarityState(text, "my.state"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         ::testing::AllOf(HasSubstr("my.state"), HasSubstr(words))))
        << text;
  };
  const std::string whole = ToText(State());
  refused("", "not JSON");
  refused(whole.substr(0, whole.size() / 2), "not JSON");
  refused("[]", "no format");
  refused("{\"format\": \"another\"}", "format is \"another\"");
  const auto changed = [&](auto change) {
    nlohmann::json json = nlohmann::json::parse(whole);
    change(json);
    return json.dump();
  };
  for (const char* key : {"model", "texts", "num_texts", "layers", "heads", "tables"}) {
    refused(changed([&](auto& json) { json.erase(key); }), "a key is missing");
    refused(changed([&](auto& json) { json[key] = -1; }), "a key is missing");
  }
  refused(changed([](auto& json) { json["heads"] = 3; }), "expected 36");
  refused(changed([](auto& json) { json["heads"] = 0; }), "no model has");
  refused(changed([](auto& json) { json["layers"] = 1u << 30; }), "no model has");
  refused(changed([](auto& json) { json["tables"]["trained"]["texts"] = 8; }), "of 8 texts");
  // One text cannot have a similarity of 3/4 with these squares, nor two one of 3.
  refused(changed([](auto& json) { json["tables"]["trained"]["texts"] = 1; }), "damaged");
  refused(changed([](auto& json) {
            json["tables"]["trained"]["similarities"][4] = 3 * (std::uint64_t{1} << 32);
          }),
          "sums of pair 4");
  refused(changed([](auto& json) { json["tables"]["trained"]["similarities"][4] = "1"; }),
          "sums of 0 pairs");
  refused(changed([](auto& json) { json["tables"]["trained"]["squares_low"].erase(0); }),
          "not whole");
  refused(changed([](auto& json) { json["tables"]["trained"] = 5; }), "no texts");
}

}  // namespace
}  // namespace reprise::engine::analysis
