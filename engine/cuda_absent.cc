// LoadOnCuda of a build without CUDA.
#include "engine/backend.h"

namespace reprise::engine {

absl::StatusOr<std::unique_ptr<const ModelBackend>> LoadOnCuda(const BackendRequest&) {
  return absl::UnimplementedError(
      "this program was built without CUDA; use --device cpu, or build with -DREPRISE_CUDA=ON "
      "(docs/gpu.md)");
}

}  // namespace reprise::engine
