// The weights of a dense layer in device memory.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "engine/cuda/memory.h"

namespace reprise::engine::cuda {

// Weight [out_features, in_features] and bias [out_features] in device memory, bf16. Immutable.
class Dense {
 public:
  // Rounds to bf16. ResourceExhausted when the device has no memory left.
  static absl::StatusOr<Dense> Upload(std::span<const float> weight, std::span<const float> bias);

  Dense() = default;
  const std::uint16_t* weight() const { return weight_.as<std::uint16_t>(); }
  const std::uint16_t* bias() const { return bias_.as<std::uint16_t>(); }
  std::int64_t out_features() const { return out_features_; }
  std::int64_t in_features() const { return in_features_; }
  std::int64_t bytes() const { return weight_.bytes() + bias_.bytes(); }

 private:
  DeviceBuffer weight_;
  DeviceBuffer bias_;
  std::int64_t out_features_ = 0;
  std::int64_t in_features_ = 0;
};

}  // namespace reprise::engine::cuda
