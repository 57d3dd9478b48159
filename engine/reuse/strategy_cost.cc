#include "engine/reuse/strategy_cost.h"

#include <algorithm>
#include <cmath>

#include "engine/check.h"

namespace reprise::engine::reuse {
namespace {

// Two measurements of the same kernel differ by about this much on a quiet machine.
constexpr double kNoise = 0.02;

constexpr double HeadTimes::*kParts[] = {&HeadTimes::compute, &HeadTimes::compute_stored,
                                         &HeadTimes::compute_kept, &HeadTimes::read,
                                         &HeadTimes::recompute};

double Squared(std::int64_t seq_len) {
  return static_cast<double>(seq_len) * static_cast<double>(seq_len);
}

// Times of `from` per score, for a sequence of another length.
HeadTimes Scaled(const HeadTimes& from, std::int64_t seq_len) {
  HeadTimes times = from;
  times.seq_len = seq_len;
  for (const auto part : kParts) times.*part *= Squared(seq_len) / Squared(from.seq_len);
  return times;
}

}  // namespace

HeadTimes TimesAt(const HeadTimesByLength& measured, std::int64_t seq_len) {
  REPRISE_CHECK(!measured.empty() && seq_len > 0);
  const auto above = std::lower_bound(
      measured.begin(), measured.end(), seq_len,
      [](const HeadTimes& times, std::int64_t length) { return times.seq_len < length; });
  if (above == measured.end()) return Scaled(measured.back(), seq_len);
  if (above == measured.begin()) return Scaled(measured.front(), seq_len);
  const HeadTimes low = Scaled(*(above - 1), seq_len), high = Scaled(*above, seq_len);
  const double begin = std::log(static_cast<double>((above - 1)->seq_len));
  const double share = (std::log(static_cast<double>(seq_len)) - begin) /
                       (std::log(static_cast<double>(above->seq_len)) - begin);
  HeadTimes times = low;
  for (const auto part : kParts) times.*part = std::lerp(low.*part, high.*part, share);
  return times;
}

GroupHeads CountHeads(const ReusePlan& plan, const LayerRange& group) {
  GroupHeads heads;
  for (int layer = group.first; layer <= group.last; ++layer) {
    if (!plan.has_attention(layer)) continue;
    const auto& computed = plan.computed_heads(layer);
    for (const int head : computed) {
      (plan.score_slot(layer, head) >= 0 ? heads.sources : heads.others) += 1;
    }
    heads.reused += plan.num_heads() - static_cast<int>(computed.size());
  }
  return heads;
}

double GroupNanoseconds(Strategy strategy, const GroupHeads& heads, const HeadTimes& times) {
  const double others = heads.others * times.compute;
  switch (strategy) {
    case Strategy::kStored:
      return others + heads.sources * times.compute_stored + heads.reused * times.read;
    case Strategy::kRecompute:
      return others + heads.sources * times.compute_kept + heads.reused * times.recompute;
    case Strategy::kFused:
      return others + heads.sources * times.compute_kept + heads.reused * times.compute;
    case Strategy::kNone:
      break;
  }
  REPRISE_CHECK(strategy != Strategy::kNone);
  return others;
}

Strategy CheapestStrategy(const GroupHeads& heads, const HeadTimes& times,
                          const AllowedStrategies& allowed) {
  if (heads.reused == 0) return Strategy::kNone;
  const bool permitted[] = {allowed.stored, allowed.recompute, allowed.fused};
  Strategy best = Strategy::kNone;
  double least = 0;
  for (std::size_t i = 0; i < kReuseStrategies.size(); ++i) {
    if (!permitted[i]) continue;
    const double nanoseconds = GroupNanoseconds(kReuseStrategies[i], heads, times);
    if (best == Strategy::kNone || nanoseconds < (1 - kNoise) * least) {
      best = kReuseStrategies[i];
      least = nanoseconds;
    }
  }
  REPRISE_CHECK(best != Strategy::kNone);
  return best;
}

}  // namespace reprise::engine::reuse
