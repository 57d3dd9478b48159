// A whole model's weights as a reuse plan needs them, without writing a converted checkpoint.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/weights/row_blocks.h"
#include "engine/weights/weight_source.h"

namespace reprise::engine::weights {

// Shows the kept row blocks of each tensor of `whole`, in ascending order; a tensor of which none
// is kept is not there. Head j of the whole model is slot j of the plan. Thread-compatible.
class PlannedSource final : public WeightSource {
 public:
  // `whole` must outlive this.
  PlannedSource(const WeightSource& whole, RowBlockMap blocks);

  bool Contains(const std::string& name) const override;
  // Besides WeightSource's errors, InvalidArgument for a tensor whose rows do not divide into the
  // blocks.
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const override;
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t> shape) const override;

 private:
  const WeightSource& whole_;
  RowBlockMap blocks_;
};

}  // namespace reprise::engine::weights
