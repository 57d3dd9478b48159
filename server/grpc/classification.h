// The classification extension: an output of numbers becomes its largest entries as text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/request/tensor.h"

namespace reprise::server::grpc {

// `scores` is FP32 [batch_size, num_classes]. Returns BYTES [batch_size, min(k, num_classes)] whose
// elements are "value:index" or, where `labels` has that index, "value:index:label"; the highest
// value first, equal ones by index, NaN last. Values read back to the same float.
// InvalidArgument for a tensor of another rank or datatype. Requires: k > 0.
absl::StatusOr<Tensor> Classify(const Tensor& scores, std::int64_t k,
                                const std::vector<std::string>& labels);

}  // namespace reprise::server::grpc
