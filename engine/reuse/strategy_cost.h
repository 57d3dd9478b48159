// Which strategy is the cheapest for a reuse group and a sequence length, from measured times of
// single heads.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/reuse/reuse_plan.h"
#include "engine/reuse/strategy.h"

namespace reprise::engine::reuse {

// What one head of one sequence took on one core, in nanoseconds, by what it did.
struct HeadTimes {
  std::int64_t seq_len = 0;
  double compute = 0;         // from queries and keys
  double compute_stored = 0;  // the same, its probabilities kept
  double compute_kept = 0;    // the same, its queries, keys and row statistics kept
  double read = 0;            // from kept probabilities
  double recompute = 0;       // from kept queries, keys and row statistics
  friend bool operator==(const HeadTimes&, const HeadTimes&) = default;
};

// By ascending seq_len, at least one entry, all times above 0.
using HeadTimesByLength = std::vector<HeadTimes>;

// Times for any length. Between two measured lengths time per score follows a straight line over
// the logarithm of the length, as fixed costs fade and caches fill; beyond them it stays as it is
// at the last.
HeadTimes TimesAt(const HeadTimesByLength& measured, std::int64_t seq_len);

// The heads of the layers of a group, by what they do.
struct GroupHeads {
  int sources = 0;  // computed, and read by later layers
  int others = 0;   // computed for their own layer only
  int reused = 0;
  friend bool operator==(const GroupHeads&, const GroupHeads&) = default;
};
GroupHeads CountHeads(const ReusePlan& plan, const LayerRange& group);

// Core time of the attention of one sequence in all layers of a group. Requires: not kNone.
double GroupNanoseconds(Strategy strategy, const GroupHeads& heads, const HeadTimes& times);

struct AllowedStrategies {
  bool stored = true;
  bool recompute = true;
  bool fused = true;
};

// kNone when the group reuses nothing. Strategies that differ by less than measurements do count as
// equal; the first of stored, recompute, fused wins. Requires: something is allowed.
Strategy CheapestStrategy(const GroupHeads& heads, const HeadTimes& times,
                          const AllowedStrategies& allowed);

}  // namespace reprise::engine::reuse
