// Models in the host's memory, for what times or inspects the CPU's own weights.
#pragma once

#include "engine/architectures/bert_weights.h"
#include "engine/model.h"

namespace reprise::engine {

// Packed as the CPU's kernels take them. Requires: the model is on the CPU.
const architectures::BertWeights& CpuWeights(const Model& model);

}  // namespace reprise::engine
