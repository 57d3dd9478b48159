// The parameters of an inference request and of its tensors that this server understands.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/map.h"
#include "inference/grpc_service.pb.h"
#include "server/request/inference_request.h"

namespace reprise::server::wire {

using ParameterMap = google::protobuf::Map<std::string, inference::InferParameter>;

// Reads into `request`:
//   priority   int64 or uint64, 1 highest; 0 or beyond an int means the model's default
//   timeout    int64 or uint64, microseconds from `request->arrival`; 0 means none
//   truncate   bool
// Sequence parameters, `headers` and `binary_data_output` are accepted without effect, as is any
// key of the client's own. InvalidArgument for a value of the wrong kind, a negative number, and a
// key `triton_...` that is not known: it would ask for something that does not happen.
absl::Status ReadRequestParameters(const ParameterMap& parameters, InferenceRequest* request);

// Whether the reply shall say where its time went (request/reply_timing.h). InvalidArgument for a
// value that is no bool.
absl::StatusOr<bool> ReadTimingWish(const ParameterMap& parameters);

// Unimplemented when the tensor is said to lie in shared memory. Other keys have no effect.
absl::Status CheckTensorParameters(const ParameterMap& parameters);

// The number k of `classification`: the output becomes the k largest entries of each row. 0 when
// the parameter is absent. InvalidArgument unless it is an integer > 0.
absl::StatusOr<std::int64_t> ReadClassification(const ParameterMap& parameters);

}  // namespace reprise::server::wire
