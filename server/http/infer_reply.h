// The reply to an infer request: JSON, with the bytes of binary outputs behind it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/http/infer_request.h"
#include "server/http/response.h"
#include "server/request/inference_request.h"

namespace reprise::server::http {

// Numbers are the shortest text that reads back equal; what is not finite is NaN, Infinity or
// -Infinity, as Python and Triton's clients write it. `labels` belong to the output `logits`.
// InvalidArgument when a classification does not fit its output, or an output that is not binary
// holds what JSON cannot: half precision, or bytes that are not UTF-8. ResourceExhausted for a
// reply of more than `max_send_bytes`.
absl::StatusOr<Response> EncodeInfer(InferenceReply reply, const ReplyWishes& wishes,
                                     const std::vector<std::string>& labels,
                                     std::int64_t max_send_bytes);

}  // namespace reprise::server::http
