// Weights given by a test.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/check.h"
#include "engine/weights/tensor_spec.h"
#include "engine/weights/weight_source.h"
#include "tests/engine/weights/checkpoint_files.h"

namespace reprise::testing {

class MemorySource final : public engine::weights::WeightSource {
 public:
  explicit MemorySource(std::map<std::string, SmallTensor> tensors)
      : tensors_(std::move(tensors)) {}

  bool Contains(const std::string& name) const override { return tensors_.contains(name); }
  absl::StatusOr<std::vector<std::int64_t>> Shape(const std::string& name) const override {
    if (!Contains(name)) return engine::weights::MissingTensor("the test", name);
    return tensors_.at(name).shape;
  }
  absl::StatusOr<std::vector<float>> Read(const std::string& name,
                                          std::span<const std::int64_t> shape) const override {
    REPRISE_ASSIGN_OR_RETURN(const std::vector<std::int64_t> own, Shape(name));
    REPRISE_RETURN_IF_ERROR(engine::weights::CheckShape("the test", name, own, shape));
    return tensors_.at(name).values;
  }

 private:
  std::map<std::string, SmallTensor> tensors_;
};

}  // namespace reprise::testing
