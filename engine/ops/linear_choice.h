// Which of two backends multiplies a shape faster on this machine, found out by trying.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/ops/linear_backend.h"

namespace reprise::engine::ops::internal {

using PackBackend = absl::StatusOr<std::unique_ptr<LinearBackend>> (*)(const LinearOptions&,
                                                                       const LinearWeights&);

// `weights` packed by the faster of the two. Each shape is tried once per process, on one thread
// and random activations, so that all layers of a shape, and all models, multiply alike. The one
// that is Unimplemented leaves the other; errors of both are the first's.
absl::StatusOr<std::unique_ptr<LinearBackend>> PackFaster(PackBackend first, PackBackend second,
                                                          const LinearOptions& options,
                                                          const LinearWeights& weights);

}  // namespace reprise::engine::ops::internal
