#include "engine/weights/tensor_spec.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace reprise::engine::weights {

std::int64_t ElementCount(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

std::string ShapeText(std::span<const std::int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::Status CheckShape(const std::string& where, const std::string& name,
                        std::span<const std::int64_t> found,
                        std::span<const std::int64_t> expected) {
  if (std::ranges::equal(found, expected)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' of ", where, " has shape ",
                                                 ShapeText(found), "; expected ",
                                                 ShapeText(expected)));
}

absl::Status MissingTensor(const std::string& where, const std::string& name) {
  return absl::NotFoundError(absl::StrCat("tensor '", name, "' is not in ", where));
}

}  // namespace reprise::engine::weights
