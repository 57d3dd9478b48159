#include "engine/analysis/head_pairs.h"

#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace reprise::engine::analysis {
namespace {

using reuse::HeadRef;

std::optional<HeadRef> ParseHead(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), '.');
  int layer = 0, head = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &layer) ||
      !absl::SimpleAtoi(parts[1], &head) || layer < 1 || head < 1) {
    return std::nullopt;
  }
  return HeadRef{layer - 1, head - 1};
}

}  // namespace

std::string NameOf(HeadRef head) { return absl::StrCat(head.layer + 1, ".", head.head + 1); }

absl::StatusOr<HeadPair> ParseHeadPair(std::string_view text) {
  const std::vector<std::string> names = absl::StrSplit(std::string(text), ':');
  std::optional<HeadRef> first, second;
  if (names.size() == 2) {
    first = ParseHead(names[0]);
    second = ParseHead(names[1]);
  }
  if (!first || !second) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(text),
                     "' is no pair of heads; expected LAYER.HEAD:LAYER.HEAD, counted from 1, for "
                     "example 3.1:2.7"));
  }
  if (*first == *second) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(text), "' is one head twice; expected two heads"));
  }
  return HeadPair{*first, *second};
}

absl::Status CheckHeadPair(const HeadPair& pair, int layers, int heads) {
  for (const HeadRef head : {pair.first, pair.second}) {
    if (head.layer < layers && head.head < heads) continue;
    return absl::InvalidArgumentError(absl::StrCat("there is no head ", NameOf(head),
                                                   "; the model has ", layers, " layers of ", heads,
                                                   " heads, 1.1 to ", layers, ".", heads));
  }
  return absl::OkStatus();
}

std::vector<HeadPair> BestNeighbourPairs(const SimilarityTable& table) {
  std::vector<HeadPair> pairs;
  for (int layer = 1; layer < table.layers(); ++layer) {
    const SimilarityTable::Pair best = table.BestPair(layer, layer - 1);
    pairs.push_back({{layer, best.head % table.heads()}, {layer - 1, best.other % table.heads()}});
  }
  return pairs;
}

}  // namespace reprise::engine::analysis
