#include "server/simulation/poisson_trace.h"

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

absl::StatusOr<ArrivalTrace> MakePoissonTrace(const PoissonOptions& options) {
  if (!(options.rate > 0) || !(options.seconds > 0) || !(options.rate * options.seconds <= 1e7)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rate ", options.rate, " per second over ", options.seconds,
                     " s; expected both above 0, and at most 10000000 requests in all"));
  }
  if (options.clients < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("clients is ", options.clients, "; expected at least 1"));
  }
  REPRISE_CHECK(!options.lengths.empty());
  Draws draws(options.seed);
  ArrivalTrace trace;
  double seconds = 0;
  while (true) {
    seconds -= std::log(draws.Uniform()) / options.rate;
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
