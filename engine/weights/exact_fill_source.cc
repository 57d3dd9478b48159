#include "engine/weights/exact_fill_source.h"

#include <algorithm>
#include <utility>

#include "engine/check.h"

namespace reprise::engine::weights {

ExactFillSource::ExactFillSource(const WeightSource& reduced, RowBlockMap blocks,
                                 const WeightSource& fill)
    : reduced_(reduced), blocks_(std::move(blocks)), fill_(fill) {}

bool ExactFillSource::Contains(const std::string& name) const {
  return blocks_.contains(name) ? fill_.Contains(name) : reduced_.Contains(name);
}

absl::StatusOr<std::vector<std::int64_t>> ExactFillSource::Shape(const std::string& name) const {
  return blocks_.contains(name) ? fill_.Shape(name) : reduced_.Shape(name);
}

absl::StatusOr<std::vector<float>> ExactFillSource::Read(
    const std::string& name, std::span<const std::int64_t> shape) const {
  const auto it = blocks_.find(name);
  if (it == blocks_.end()) return reduced_.Read(name, shape);
  REPRISE_ASSIGN_OR_RETURN(std::vector<float> values, fill_.Read(name, shape));
  const RowBlocks& blocks = it->second;
  if (blocks.kept.empty()) return values;
  const std::int64_t rows_per_block = shape[0] / blocks.num_blocks;
  std::vector<std::int64_t> reduced_shape(shape.begin(), shape.end());
  reduced_shape[0] = rows_per_block * static_cast<std::int64_t>(blocks.kept.size());
  REPRISE_ASSIGN_OR_RETURN(const std::vector<float> own, reduced_.Read(name, reduced_shape));
  const std::size_t block = values.size() / static_cast<std::size_t>(blocks.num_blocks);
  for (std::size_t i = 0; i < blocks.kept.size(); ++i) {
    const auto begin = own.begin() + static_cast<std::ptrdiff_t>(i * block);
    std::copy(begin, begin + static_cast<std::ptrdiff_t>(block),
              values.begin() + static_cast<std::ptrdiff_t>(block) * blocks.kept[i]);
  }
  return values;
}

}  // namespace reprise::engine::weights
