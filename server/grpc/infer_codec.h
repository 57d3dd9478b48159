// Whole inference calls between the Open Inference Protocol and the server's own request and reply.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "inference/grpc_service.pb.h"
#include "server/grpc/inference_run.h"
#include "server/request/inference_request.h"
#include "server/wire/classification.h"

namespace reprise::server::grpc {

// What a request asks of the reply beyond the tensors themselves.
struct ReplyWishes {
  wire::Classifications classifications;
  bool timing = false;  // say where the time went
};

// Fills everything of `request` that the message says; arrival, cancellation and `done` are the
// caller's. Checks what can be checked without knowing the model. InvalidArgument, or
// Unimplemented for shared memory, with what was found and what was expected:
//   - raw_input_contents and an input's `contents` in one request, or not one raw entry per input;
//   - two inputs or two outputs of one name;
//   - what DecodeTypedTensor, DecodeRawTensor and wire::ReadRequestParameters refuse.
absl::Status DecodeModelInfer(inference::ModelInferRequest message, InferenceRequest* request,
                              ReplyWishes* wishes);

// One entry of raw_output_contents per output, always: clients index it without looking. `labels`
// belong to the output `logits`. InvalidArgument when a classification does not fit its output.
absl::Status EncodeModelInfer(InferenceReply reply, const ReplyWishes& wishes,
                              const std::vector<std::string>& labels,
                              inference::ModelInferResponse* message);

// Replies of a stream. Every request has one reply, which says so (`triton_final_response`). One
// that failed has the text of the error and, in infer_response, the names that the request gave
// itself and the gRPC code of the error (`reprise_grpc_code`).
inference::ModelStreamInferResponse StreamReply(inference::ModelInferResponse response);
inference::ModelStreamInferResponse StreamError(const absl::Status& error,
                                                const RequestNames& names);

}  // namespace reprise::server::grpc
