// One input tensor of a ModelInferRequest as server::Tensor.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "server/request/tensor.h"

namespace reprise::server::grpc {

// Elements in the typed field of `input.contents` that belongs to its datatype, and only there.
// InvalidArgument names the tensor, what was found and what was expected: what wire::ReadLayout
// refuses, another number of elements than the shape says, elements in a field of another datatype,
// an integer that the datatype cannot hold.
absl::StatusOr<Tensor> DecodeTypedTensor(inference::ModelInferRequest::InferInputTensor input);

// Elements in `raw`. InvalidArgument for what wire::ReadLayout and wire::StoreRaw refuse.
absl::StatusOr<Tensor> DecodeRawTensor(const inference::ModelInferRequest::InferInputTensor& input,
                                       std::string raw);

}  // namespace reprise::server::grpc
