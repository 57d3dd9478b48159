// The name and shape of one tensor, and how both are written in messages.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace reprise::engine::weights {

struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

// Product of the dimensions; 1 for a scalar. Requires: dimensions >= 0 and the product fits (shapes
// from files are checked for both before they get here).
std::int64_t ElementCount(std::span<const std::int64_t> shape);

// "[30522, 768]".
std::string ShapeText(std::span<const std::int64_t> shape);

// InvalidArgument naming `where` (a file or a kind of source), the tensor and both shapes.
absl::Status CheckShape(const std::string& where, const std::string& name,
                        std::span<const std::int64_t> found,
                        std::span<const std::int64_t> expected);

// NotFound naming `where` and the tensor.
absl::Status MissingTensor(const std::string& where, const std::string& name);

}  // namespace reprise::engine::weights
