// The classification extension: an output of numbers becomes its largest entries as text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/request/inference_request.h"
#include "server/request/serving_core.h"
#include "server/request/tensor.h"

namespace reprise::server::wire {

// `scores` is FP32 [batch_size, num_classes]. Returns BYTES [batch_size, min(k, num_classes)] whose
// elements are "value:index" or, where `labels` has that index, "value:index:label"; the highest
// value first, equal ones by index, NaN last. Values read back to the same float.
// InvalidArgument for a tensor of another rank or datatype. Requires: k > 0.
absl::StatusOr<Tensor> Classify(const Tensor& scores, std::int64_t k,
                                const std::vector<std::string>& labels);

// Output name -> number of classes asked for, > 0.
using Classifications = std::map<std::string, std::int64_t>;

// Classifies the outputs that `wanted` names, in place; `labels` belong to the output `logits`.
absl::Status ClassifyOutputs(const Classifications& wanted, const std::vector<std::string>& labels,
                             InferenceReply* reply);

// The labels of the version that answered; none when that version has gone by now.
std::vector<std::string> LabelsOf(const ServingCore& core, const InferenceReply& reply);

}  // namespace reprise::server::wire
