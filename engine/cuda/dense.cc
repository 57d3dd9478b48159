#include "engine/cuda/dense.h"

#include <algorithm>
#include <vector>

#include "engine/check.h"
#include "engine/tensor/dtype.h"

namespace reprise::engine::cuda {

absl::StatusOr<Dense> Dense::Upload(std::span<const float> weight, std::span<const float> bias) {
  REPRISE_CHECK(!bias.empty() && weight.size() % bias.size() == 0);
  Dense dense;
  dense.out_features_ = static_cast<std::int64_t>(bias.size());
  dense.in_features_ = static_cast<std::int64_t>(weight.size() / bias.size());
  const auto upload = [](std::span<const float> values) -> absl::StatusOr<DeviceBuffer> {
    std::vector<BFloat16> rounded(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(), BFloat16::FromFloat);
    return DeviceBuffer::Upload(memory::Purpose::kWeights, rounded);
  };
  REPRISE_ASSIGN_OR_RETURN(dense.weight_, upload(weight));
  REPRISE_ASSIGN_OR_RETURN(dense.bias_, upload(bias));
  return dense;
}

}  // namespace reprise::engine::cuda
