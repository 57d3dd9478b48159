// Upper bounds on what a config may ask for, far above every published BERT, so that a config that
// lies cannot make the server reserve memory without end.
#pragma once

#include <cstdint>

#include "engine/reuse/cost_model.h"
#include "engine/reuse/reuse_plan.h"

namespace reprise::engine::architectures {

inline constexpr int kMaxLayers = reuse::kMaxLayers;
inline constexpr int kMaxHeads = reuse::kMaxHeads;
// A model that loads is one whose costs can be predicted.
inline constexpr int kMaxHiddenSize = reuse::kMaxWidth;
inline constexpr int kMaxIntermediateSize = reuse::kMaxWidth;
inline constexpr int kMaxVocabSize = 1 << 24;
inline constexpr int kMaxPositions = reuse::kMaxSequenceLength;
inline constexpr int kMaxTypes = 1 << 16;
inline constexpr int kMaxRelativePosition = 1 << 16;
inline constexpr int kMaxLabels = 1 << 17;
// All tensors together; with the bounds above no count overflows 64 bits.
inline constexpr std::int64_t kMaxParameters = std::int64_t{1} << 33;

}  // namespace reprise::engine::architectures
