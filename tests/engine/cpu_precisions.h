// The precisions that the engine offers on the CPU that runs the tests.
#pragma once

#include <vector>

#include "engine/model.h"

namespace reprise::engine {

// bf16 needs dot products in hardware; on other CPUs the engine refuses it.
inline bool CpuMultipliesBf16() { return ResolvePrecision(Precision::kAuto) == Precision::kBF16; }

inline std::vector<Precision> PrecisionsOfThisCpu() {
  if (!CpuMultipliesBf16()) return {Precision::kF32};
  return {Precision::kF32, Precision::kBF16};
}

}  // namespace reprise::engine
