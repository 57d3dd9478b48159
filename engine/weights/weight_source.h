// Where a model's weights come from: a checkpoint, random numbers, or another source seen through a
// reuse plan.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace reprise::engine::weights {

// Thread-compatible. Names are those of Hugging Face's BertModel state dict without the "bert."
// prefix, for example "encoder.layer.0.attention.self.query.weight".
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual bool Contains(const std::string& name) const = 0;
  // NotFound when the source has no such tensor.
  virtual absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const = 0;
  // Row-major values as fp32 (F16 and BF16 convert exactly). InvalidArgument names the tensor, the
  // shape found and the shape expected; NotFound names the tensor.
  virtual absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                                  std::span<const std::int64_t> shape) const = 0;
};

}  // namespace reprise::engine::weights
