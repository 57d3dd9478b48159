// LoadOnCuda of a build without CUDA.
#include "engine/backend.h"

namespace reprise::engine {
namespace {

absl::Status WithoutCuda() {
  return absl::UnimplementedError(
      "this program was built without CUDA; use --device cpu, or build with -DREPRISE_CUDA=ON "
      "(docs/gpu.md)");
}

}  // namespace

absl::Status CheckDevice(DeviceId device) {
  return device.kind == DeviceId::Kind::kCpu ? absl::OkStatus() : WithoutCuda();
}

absl::StatusOr<std::unique_ptr<const ModelBackend>> LoadOnCuda(const BackendRequest&) {
  return WithoutCuda();
}

}  // namespace reprise::engine
