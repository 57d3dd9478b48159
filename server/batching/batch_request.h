// A request as the batcher holds it: packed, admitted, ready to be run.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "server/batching/admission.h"
#include "server/pipeline/model_outputs.h"
#include "server/pipeline/packed_rows.h"
#include "server/request/inference_request.h"

namespace reprise::server::batching {

// Owns everything that travels with the request. The ticket goes last: the request is in flight
// until it has been answered.
struct BatchRequest {
  QueueTicket ticket;
  std::unique_ptr<InferenceRequest> request;  // its input tensors are no longer needed
  pipeline::PackedRows rows;
  pipeline::WantedOutputs wanted;
  std::int64_t score_bytes = 0;
  SteadyClock::time_point queued;  // admission; a text waits for the tokenizer after it
  std::chrono::nanoseconds tokenize{0};
};

// Calls request->done, then gives the ticket back. Requires: no lock is held.
void Answer(std::unique_ptr<BatchRequest> request, absl::StatusOr<InferenceReply> reply,
            RefusalReason reason = RefusalReason::kNone);

// Bytes of the attention scores of `rows`: sum over rows of bytes_per_square x length^2.
std::int64_t ScoreBytes(const pipeline::PackedRows& rows, std::int64_t bytes_per_square);

}  // namespace reprise::server::batching
