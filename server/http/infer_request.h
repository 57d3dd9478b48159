// The body of an infer request: JSON, with the bytes of tensors behind it, or one tensor by itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/request/inference_request.h"
#include "server/request/serving_core.h"
#include "server/wire/classification.h"

namespace reprise::server::http {

// What a request asks of the reply beyond the tensors themselves.
struct ReplyWishes {
  wire::Classifications classifications;
  bool timing = false;                 // say where the time went (request/reply_timing.h)
  bool binary_by_default = false;      // outputs that do not say
  std::map<std::string, bool> binary;  // those that do: as bytes behind the JSON
};

// Fills everything of `request` that the body says; the model's name and version are there already,
// arrival, cancellation and `done` are the caller's.
//
// `json_length` is the value of the header Inference-Header-Content-Length. Without it all of the
// body is JSON; with it the bytes of each tensor that has the parameter binary_data_size follow the
// JSON, in the order of the inputs. 0 says that the whole body is the one input of the model, of
// batch 1: of its element for BYTES, else of as many elements as fill the one dimension that may
// vary; every output is then binary.
//
// InvalidArgument, or Unimplemented for shared memory, with what was found and what was expected.
// For a length of 0 also what core.Describe says of the model.
absl::Status DecodeInfer(std::string body, const std::optional<std::string_view>& json_length,
                         const ServingCore& core, InferenceRequest* request, ReplyWishes* wishes);

}  // namespace reprise::server::http
