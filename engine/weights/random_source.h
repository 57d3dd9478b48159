// Weights drawn from a seed, distributed as BERT initialises them: for speed, memory and tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/weights/tensor_spec.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::weights {

// Has exactly the tensors it is given. Matrices and biases are bell-shaped with mean 0 and standard
// deviation 0.02, a LayerNorm's weight is 1 and its bias 0. (Biases are not 0, as they would be
// before training, so that code that forgets one gives other results.) An element depends on the
// seed, its tensor's name and its index only: not on the order of reading, the other tensors or the
// machine. Immutable, thread-safe; a read costs a few nanoseconds per element.
class RandomSource final : public WeightSource {
 public:
  RandomSource(const std::vector<TensorSpec>& tensors, std::uint64_t seed);

  bool Contains(const std::string& name) const override { return shapes_.contains(name); }
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const override;
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t> shape) const override;

 private:
  std::unordered_map<std::string, std::vector<std::int64_t>> shapes_;
  std::uint64_t seed_;
};

}  // namespace reprise::engine::weights
