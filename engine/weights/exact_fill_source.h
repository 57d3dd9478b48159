// A reuse model's weights made whole again by random ones: the exact model of the same shape.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/weights/row_blocks.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::weights {

// The inverse of PlannedSource: row blocks that `reduced` lacks come from `fill`. Good for
// measuring speed and memory; the model's answers are meaningless. Thread-compatible.
class ExactFillSource final : public WeightSource {
 public:
  // `fill` has every tensor of the exact model (a RandomSource). Both must outlive this.
  ExactFillSource(const WeightSource& reduced, RowBlockMap blocks, const WeightSource& fill);

  bool Contains(const std::string& name) const override;
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const override;
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t> shape) const override;

 private:
  const WeightSource& reduced_;
  RowBlockMap blocks_;
  const WeightSource& fill_;
};

}  // namespace reprise::engine::weights
