// The entry to this folder: LoadOnCuda of engine/backend.h.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/backend.h"
#include "engine/check.h"
#include "engine/cuda/cuda_executor.h"
#include "engine/cuda/device.h"
#include "engine/cuda/weights.h"

namespace reprise::engine {
namespace cuda {
namespace {

class CudaModel : public ModelBackend {
 public:
  CudaModel(const architectures::BertConfig& config, Device device, Weights weights)
      : config_(config), device_(std::move(device)), weights_(std::move(weights)) {}

  std::int64_t parameter_bytes() const override { return weights_.bytes; }
  std::string DescribeDevice() const override {
    return absl::StrCat(device_.name, ", compute capability ", device_.compute_major, ".",
                        device_.compute_minor, ", ", device_.multiprocessors, " multiprocessors, ",
                        device_.l2_bytes >> 20, " MiB L2, ", device_.memory_bytes >> 30,
                        " GiB memory");
  }
  absl::StatusOr<std::unique_ptr<ExecutorBackend>> NewExecutor(
      const ExecutorOptions& options) const override {
    return CreateExecutor(device_, config_, weights_, options);
  }

 private:
  const architectures::BertConfig& config_;
  const Device device_;
  const Weights weights_;
};

}  // namespace
}  // namespace cuda

absl::Status CheckDevice(DeviceId device) {
  if (device.kind == DeviceId::Kind::kCpu) return absl::OkStatus();
  return cuda::OpenDevice(device.ordinal).status();
}

absl::StatusOr<std::unique_ptr<const ModelBackend>> LoadOnCuda(const BackendRequest& request) {
  if (request.precision != Precision::kBF16) {
    return absl::UnimplementedError(
        "a GPU runs models in bf16 only; use --precision bf16 or auto, or --device cpu");
  }
  REPRISE_ASSIGN_OR_RETURN(cuda::Device device, cuda::OpenDevice(request.device.ordinal));
  REPRISE_ASSIGN_OR_RETURN(cuda::Weights weights,
                           cuda::UploadWeights(request.config, request.parts, request.source));
  return std::make_unique<const cuda::CudaModel>(request.config, std::move(device),
                                                 std::move(weights));
}

}  // namespace reprise::engine
