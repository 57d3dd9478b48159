#include "engine/device/cpu/amx_tiles.h"
#include "engine/ops/attention_amx-inl.h"

namespace reprise::engine::ops::internal {
namespace {

using Runner = HeadRunner<AmxKernels<device::AmxTiles>>;

// The tile registers are configured for the length of a head: oneDNN configures them otherwise, and
// a thread that leaves them alone switches faster.
struct ConfiguredTiles {
  ConfiguredTiles() { device::AmxTiles::Configure(); }
  ~ConfiguredTiles() { device::AmxTiles::Release(); }
};

}  // namespace

void ComputeHeadAmx(const AttentionOptions& options, const AttentionTask& task) {
  const ConfiguredTiles tiles;
  Runner(options, task).Compute();
}

void ReuseHeadAmx(const AttentionOptions& options, const AttentionTask& task) {
  const ConfiguredTiles tiles;
  Runner(options, task).Reuse();
}

void RecomputeHeadAmx(const AttentionOptions& options, const AttentionTask& task) {
  const ConfiguredTiles tiles;
  Runner(options, task).Recompute();
}

}  // namespace reprise::engine::ops::internal
