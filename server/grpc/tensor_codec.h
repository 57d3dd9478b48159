// One tensor between its wire form in the Open Inference Protocol and server::Tensor.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "server/request/tensor.h"

namespace reprise::server::grpc {

// Elements in the typed field of `input.contents` that belongs to its datatype, and only there.
// InvalidArgument names the tensor, what was found and what was expected: unknown datatype, a
// negative dimension, a shape whose size overflows, another number of elements than the shape says,
// elements in a field of another datatype, an integer that the datatype cannot hold.
absl::StatusOr<Tensor> DecodeTypedTensor(inference::ModelInferRequest::InferInputTensor input);

// Elements in `raw`, little-endian, row-major and dense; each BYTES element is a 4-byte length
// followed by that many bytes. InvalidArgument as above, and for a size that does not fit the
// shape, a length that leaves the buffer, or a BOOL other than 0 and 1.
absl::StatusOr<Tensor> DecodeRawTensor(const inference::ModelInferRequest::InferInputTensor& input,
                                       std::string raw);

// The same layout for a reply. ResourceExhausted for a BYTES element of 4 GiB or more.
absl::StatusOr<std::string> EncodeRaw(Tensor tensor);

}  // namespace reprise::server::grpc
