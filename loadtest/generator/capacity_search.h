// Finds the highest rate that a server bears.
#pragma once

#include <functional>

#include "absl/status/statusor.h"

namespace reprise::loadtest {

// Steps of 1.3 from `guess` until one rate is borne and the next is not, then bisection until
// they are within `precision` of each other (0.03: 3 %); returns the lower one. `bears` is asked
// at most 40 times; its error ends the search. FailedPrecondition if no rate down to a thousandth
// of the guess is borne. Requires: guess > 0, precision > 0.
absl::StatusOr<double> FindCapacity(double guess, double precision,
                                    const std::function<absl::StatusOr<bool>(double rate)>& bears);

}  // namespace reprise::loadtest
