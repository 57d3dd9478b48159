#include "loadtest/generator/capacity_search.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/check.h"

namespace reprise::loadtest {
namespace {

constexpr double kStep = 1.3;
constexpr int kMostProbes = 40;

}  // namespace

absl::StatusOr<double> FindCapacity(double guess, double precision,
                                    const std::function<absl::StatusOr<bool>(double rate)>& bears) {
  REPRISE_CHECK(guess > 0 && precision > 0);
  double low = 0, high = 0;  // 0: not known yet
  double rate = guess;
  for (int probe = 0; probe < kMostProbes; ++probe) {
    REPRISE_ASSIGN_OR_RETURN(const bool borne, bears(rate));
    (borne ? low : high) = rate;
    if (low == 0 && rate < guess / 1000) {
      return absl::FailedPreconditionError(
          absl::StrCat("not even ", rate, " calls per second are borne; allow a longer latency"));
    }
    if (low > 0 && high > 0 && high / low <= 1 + precision) return low;
    rate = low == 0 ? rate / kStep : high == 0 ? rate * kStep : std::sqrt(low * high);
  }
  return low;
}

}  // namespace reprise::loadtest
