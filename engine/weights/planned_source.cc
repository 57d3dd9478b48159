#include "engine/weights/planned_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/tensor_spec.h"

namespace reprise::engine::weights {

PlannedSource::PlannedSource(const WeightSource& whole, RowBlockMap blocks)
    : whole_(whole), blocks_(std::move(blocks)) {}

bool PlannedSource::Contains(const std::string& name) const {
  const auto it = blocks_.find(name);
  return (it == blocks_.end() || !it->second.kept.empty()) && whole_.Contains(name);
}

absl::StatusOr<std::vector<std::int64_t>> PlannedSource::Shape(const std::string& name) const {
  const auto it = blocks_.find(name);
  if (it != blocks_.end() && it->second.kept.empty()) {
    return MissingTensor("the weights under the reuse plan", name);
  }
  REPRISE_ASSIGN_OR_RETURN(std::vector<std::int64_t> shape, whole_.Shape(name));
  if (it == blocks_.end()) return shape;
  const int num_blocks = it->second.num_blocks;
  if (shape.empty() || shape[0] % num_blocks != 0) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' has shape ",
                                                   ShapeText(shape), "; expected rows in ",
                                                   num_blocks, " blocks, one per head"));
  }
  shape[0] = shape[0] / num_blocks * static_cast<std::int64_t>(it->second.kept.size());
  return shape;
}

absl::StatusOr<std::vector<float>> PlannedSource::Read(const std::string& name,
                                                       std::span<const std::int64_t> shape) const {
  const auto it = blocks_.find(name);
  if (it == blocks_.end()) return whole_.Read(name, shape);
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::int64_t> own, Shape(name));
  REPRISE_RETURN_IF_ERROR(CheckShape("the weights under the reuse plan", name, own, shape));
  REPRISE_ASSIGN_OR_RETURN(const std::vector<std::int64_t> whole_shape, whole_.Shape(name));
  REPRISE_ASSIGN_OR_RETURN(const std::vector<float> all, whole_.Read(name, whole_shape));
  const std::size_t block = all.size() / static_cast<std::size_t>(it->second.num_blocks);
  std::vector<float> values;
  values.reserve(block * it->second.kept.size());
  for (const int kept : it->second.kept) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(block) * kept;
    values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(block));
  }
  return values;
}

}  // namespace reprise::engine::weights
