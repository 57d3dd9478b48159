// Times of single heads on a GPU, by what they do: what strategies are chosen by.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/cuda/device.h"
#include "engine/cuda/stream.h"
#include "engine/reuse/strategy_cost.h"

namespace reprise::engine::cuda {

struct HeadTimingOptions {
  int heads = 0;     // of a layer
  int head_dim = 0;  // one of PaddedHeadDim
  std::int64_t max_seq_len = 0;
  std::int64_t max_prob_tiles = 0;  // of the score store: longer sequences are never stored
};

// Measured with the device full of heads, so a head's time is its share of the device's. Measured
// once in a process for each kind of head and device, which takes some hundredths of a second.
// ResourceExhausted without device memory to measure in.
absl::StatusOr<std::shared_ptr<const reuse::HeadTimesByLength>> MeasuredHeadTimes(
    const Device& device, const Stream& stream, const HeadTimingOptions& options);

}  // namespace reprise::engine::cuda
