// Pairs of heads that someone wants to look at.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/analysis/similarity_table.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::analysis {

struct HeadPair {
  reuse::HeadRef first;
  reuse::HeadRef second;
  friend bool operator==(const HeadPair&, const HeadPair&) = default;
};

// "3.1": head 1 of layer 3. Names count from 1, as the paper does and as plans are drawn.
std::string NameOf(reuse::HeadRef head);

// "3.1:2.7". InvalidArgument for anything else, and for a head and itself.
absl::StatusOr<HeadPair> ParseHeadPair(std::string_view text);

// InvalidArgument when the model has no such heads.
absl::Status CheckHeadPair(const HeadPair& pair, int layers, int heads);

// Of each layer from the second on and the layer before it, the two heads that are most alike.
std::vector<HeadPair> BestNeighbourPairs(const SimilarityTable& table);

}  // namespace reprise::engine::analysis
