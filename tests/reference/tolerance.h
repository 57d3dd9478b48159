// How far results may be from the double-precision reference, and a matcher that says where they
// are further.
#pragma once

#include <cmath>
#include <cstddef>

#include "gmock/gmock.h"

namespace reprise::reference {

// Allowed: |value - reference| <= absolute + relative * |reference|.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

// EXPECT_THAT(values, AllClose(reference_values, kFloat32)); any two containers with size() and [].
// The comparison is written so that NaN fails.
MATCHER_P2(AllClose, expected, tolerance, "") {
  if (arg.size() != expected.size()) {
    *result_listener << "has " << arg.size() << " values where " << expected.size()
                     << " were expected";
    return false;
  }
  std::size_t num_outside = 0;
  std::size_t worst = 0;
  double worst_excess = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double reference = expected[i];
    const double difference = std::abs(static_cast<double>(arg[i]) - reference);
    const double allowed = tolerance.absolute + tolerance.relative * std::abs(reference);
    if (difference <= allowed) continue;
    const double excess = std::isnan(difference) ? HUGE_VAL : difference / allowed;
    if (num_outside == 0 || excess > worst_excess) {
      worst = i;
      worst_excess = excess;
    }
    ++num_outside;
  }
  if (num_outside > 0) {
    *result_listener << num_outside << " of " << expected.size()
                     << " values are outside; worst is [" << worst << "] = " << arg[worst]
                     << ", reference " << expected[worst];
  }
  return num_outside == 0;
}

// The table. Random models of RandomConfig have hidden values near 1, so that absolute bounds mean
// the same in all of them.

// Two runs of the reference that differ in the order of summation only.
inline constexpr Tolerance kDouble = {1e-12, 1e-12};

// fp32 everywhere: one rounding is 6e-8, and the longest chain (6 layers, sums of up to 1024
// products) was seen to multiply it by less than 100.
inline constexpr Tolerance kFloat32 = {2e-5, 0};

struct ToleranceOfOutputs {
  Tolerance last_hidden_state;
  Tolerance sentence_embedding;
  Tolerance pooler_output;
  Tolerance logits;
};
inline constexpr ToleranceOfOutputs kFloat32Outputs = {kFloat32, kFloat32, kFloat32, kFloat32};

// bf16 products with fp32 sums: one rounding is 2^-9 = 0.2 % of a value near 1.
inline constexpr ToleranceOfOutputs kBFloat16Outputs = {
    {0.1, 0.02}, {0.05, 0.02}, {0.1, 0}, {0.1, 0.02}};

}  // namespace reprise::reference
