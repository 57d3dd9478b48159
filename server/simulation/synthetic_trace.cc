#include "server/simulation/synthetic_trace.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/check.h"

namespace reprise::server::simulation {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

// The distributions of <random> differ between libraries; the engine does not.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : engine_(seed) {}
  // In (0, 1].
  double Uniform() { return static_cast<double>((engine_() >> 11) + 1) * 0x1p-53; }
  std::int64_t UpTo(std::int64_t low, std::int64_t high) {
    const auto span = static_cast<double>(high - low + 1);
    return std::min(high, low + static_cast<std::int64_t>(span * (1 - Uniform())));
  }

 private:
  std::mt19937_64 engine_;
};

std::int64_t DrawLength(const std::vector<LengthRange>& lengths, Draws* draws) {
  double total = 0;
  for (const LengthRange& range : lengths) total += range.weight;
  double left = total * draws->Uniform();
  const LengthRange* chosen = &lengths.back();
  for (const LengthRange& range : lengths) {
    left -= range.weight;
    if (left > 0) continue;
    chosen = &range;
    break;
  }
  return draws->UpTo(chosen->low, chosen->high);
}

absl::StatusOr<LengthRange> ParseRange(absl::string_view part) {
  LengthRange range;
  const std::vector<absl::string_view> weighted = absl::StrSplit(part, 'x');
  const std::vector<absl::string_view> ends = absl::StrSplit(weighted[0], '-');
  const bool sound = weighted.size() <= 2 && ends.size() <= 2 &&
                     absl::SimpleAtoi(ends.front(), &range.low) &&
                     absl::SimpleAtoi(ends.back(), &range.high) &&
                     (weighted.size() == 1 || absl::SimpleAtod(weighted[1], &range.weight));
  if (sound && range.low >= 1 && range.low <= range.high && range.high <= kMostTokens &&
      range.weight > 0 && std::isfinite(range.weight)) {
    return range;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "'", part,
      "' is no range of lengths; expected tokens from 1 to 16777216 like 128, 16-64, or "
      "with a weight 16-64x9"));
}

absl::Status CheckOptions(const SyntheticTraceOptions& options) {
  if (!(options.rate > 0) || !(options.seconds > 0) || !(options.rate * options.seconds <= 1e7)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rate ", options.rate, " per second over ", options.seconds,
                     " s; expected both above 0, and at most 10000000 requests in all"));
  }
  if (options.clients < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("clients is ", options.clients, "; expected at least 1"));
  }
  if (options.burst_on.count() < 1 || options.burst_off.count() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("bursts of ", options.burst_on.count(),
                                                   " ns with pauses of ", options.burst_off.count(),
                                                   " ns; expected bursts above 0, pauses from 0"));
  }
  REPRISE_CHECK(!options.lengths.empty());
  return absl::OkStatus();
}

// When requests come, one after the other, in seconds. In bursts they come on a clock that stands
// still between them, and runs faster by so much that the mean rate is kept.
class Clock {
 public:
  explicit Clock(const SyntheticTraceOptions& options)
      : pattern_(options.pattern),
        on_(1e-9 * static_cast<double>(options.burst_on.count())),
        off_(1e-9 * static_cast<double>(options.burst_off.count())),
        gap_(pattern_ == ArrivalPattern::kBurst ? on_ / (on_ + off_) / options.rate
                                                : 1 / options.rate) {}

  double Next(Draws* draws) {
    ++drawn_;
    if (pattern_ == ArrivalPattern::kConstant) return static_cast<double>(drawn_) * gap_;
    seconds_ -= std::log(draws->Uniform()) * gap_;
    if (pattern_ == ArrivalPattern::kPoisson) return seconds_;
    return seconds_ + std::floor(seconds_ / on_) * off_;
  }

 private:
  const ArrivalPattern pattern_;
  const double on_, off_, gap_;
  std::int64_t drawn_ = 0;
  double seconds_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<LengthRange>> ParseLengths(std::string_view text) {
  std::vector<LengthRange> lengths;
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    REPRISE_ASSIGN_OR_RETURN(const LengthRange range, ParseRange(part));
    lengths.push_back(range);
  }
  return lengths;
}

absl::StatusOr<ArrivalPattern> ParseArrivalPattern(std::string_view name) {
  if (name == "poisson") return ArrivalPattern::kPoisson;
  if (name == "constant") return ArrivalPattern::kConstant;
  if (name == "burst") return ArrivalPattern::kBurst;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(name), "'; expected poisson, constant or burst"));
}

absl::StatusOr<ArrivalTrace> MakeSyntheticTrace(const SyntheticTraceOptions& options) {
  REPRISE_RETURN_IF_ERROR(CheckOptions(options));
  Draws draws(options.seed);
  Clock clock(options);
  ArrivalTrace trace;
  while (true) {
    const double seconds = clock.Next(&draws);
    if (seconds > options.seconds) break;
    Arrival arrival;
    arrival.at = std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
    arrival.row_tokens = {DrawLength(options.lengths, &draws)};
    if (options.clients > 1) arrival.client = absl::StrCat("c", draws.UpTo(1, options.clients));
    arrival.timeout = options.timeout;
    trace.push_back(std::move(arrival));
  }
  if (trace.empty()) {
    return absl::InvalidArgumentError(
        "no request falls into so short a time; raise rate or seconds");
  }
  return trace;
}

}  // namespace reprise::server::simulation
