#include "engine/layers/head_calibration.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "engine/check.h"
#include "engine/ops/attention_timer.h"
#include "engine/reuse/score_cache.h"

namespace reprise::engine::layers {
namespace {

using ops::AttentionTimer;
using reuse::HeadTimes;
using reuse::HeadTimesByLength;
using Work = AttentionTimer::Work;

// Far enough apart that in between a line will do; the last ones put the scores of a layer outside
// the caches of most machines.
constexpr std::int64_t kLengths[] = {16, 64, 256, 1024, 2048};

// Least wall time that is measured, so that short lengths are run often enough.
constexpr double kLeastMs = 1.0;
constexpr int kLeastRounds = 2, kMostRounds = 50;

struct Known {
  std::shared_ptr<const HeadTimesByLength> times;
  bool set = false;  // by UseCalibration
};

struct Registry {
  std::mutex mutex;  // held while measuring too: two measurements would disturb each other
  std::map<HeadKind, Known> known;

  static Registry& Process() {
    static Registry registry;
    return registry;
  }
};

absl::StatusOr<HeadTimes> MeasureLength(device::ThreadTeam& team, ops::AttentionOptions attention,
                                        int heads, std::int64_t seq_len) {
  attention.max_seq_len = seq_len;
  REPRISE_ASSIGN_OR_RETURN(const AttentionTimer timer,
                           AttentionTimer::Create(team, {.attention = attention, .heads = heads}));
  constexpr std::pair<Work, double HeadTimes::*> kWork[] = {
      {Work::kCompute, &HeadTimes::compute},
      {Work::kComputeStored, &HeadTimes::compute_stored},
      {Work::kComputeKept, &HeadTimes::compute_kept},
      {Work::kRead, &HeadTimes::read},
      {Work::kRecompute, &HeadTimes::recompute}};
  for (const auto& [work, part] : kWork) timer.Run(team, work);  // first touch of the memory
  HeadTimes times{.seq_len = seq_len};
  const double infinite = std::numeric_limits<double>::infinity();
  for (const auto& [work, part] : kWork) times.*part = infinite;
  // In turns, so that all see the same machine, and the smallest, as others can only disturb.
  double spent = 0;
  for (int round = 0; round < kLeastRounds || (spent < kLeastMs && round < kMostRounds); ++round) {
    for (const auto& [work, part] : kWork) {
      const double ms = timer.Time(team, work);
      spent += ms;
      times.*part = std::min(times.*part, ms);
    }
  }
  for (const auto& [work, part] : kWork) {
    times.*part *= 1e6 * team.size() / heads;
    times.*part = std::max(times.*part, 1.0);  // below what the clock can tell
  }
  return times;
}

std::vector<std::int64_t> LengthsWithin(const ops::AttentionOptions& attention, int heads,
                                        const CalibrationLimits& limits) {
  std::vector<std::int64_t> lengths;
  for (const std::int64_t length : kLengths) {
    const std::int64_t bytes =
        reuse::ScoreCache::SequenceBytes(length, heads, attention.score_format);
    if (length <= limits.max_seq_len && bytes <= limits.score_bytes) lengths.push_back(length);
  }
  if (lengths.empty()) lengths.push_back(std::min(limits.max_seq_len, kLengths[0]));
  return lengths;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const HeadTimesByLength>> CalibratedHeadTimes(
    device::ThreadTeam& team, const ops::AttentionOptions& attention, int heads,
    const CalibrationLimits& limits) {
  const HeadKind kind = {attention.precision, attention.score_format, attention.head_dim, heads,
                         team.size()};
  const std::vector<std::int64_t> lengths = LengthsWithin(attention, heads, limits);
  Registry& registry = Registry::Process();
  const std::lock_guard lock(registry.mutex);
  Known& known = registry.known[kind];
  if (known.times != nullptr && (known.set || known.times->back().seq_len >= lengths.back())) {
    return known.times;
  }
  auto measured = std::make_shared<HeadTimesByLength>();
  for (const std::int64_t seq_len : lengths) {
    REPRISE_ASSIGN_OR_RETURN(const HeadTimes times, MeasureLength(team, attention, heads, seq_len));
    measured->push_back(times);
  }
  known.times = std::move(measured);
  return known.times;
}

void UseCalibration(const std::vector<HeadCalibration>& calibrations) {
  Registry& registry = Registry::Process();
  const std::lock_guard lock(registry.mutex);
  for (const HeadCalibration& calibration : calibrations) {
    registry.known[calibration.kind] = {
        std::make_shared<const HeadTimesByLength>(calibration.times), true};
  }
}

std::vector<HeadCalibration> KnownCalibrations() {
  Registry& registry = Registry::Process();
  const std::lock_guard lock(registry.mutex);
  std::vector<HeadCalibration> calibrations;
  for (const auto& [kind, known] : registry.known) {
    if (known.times != nullptr) calibrations.push_back({kind, *known.times});
  }
  return calibrations;
}

}  // namespace reprise::engine::layers
