// Whether anybody still waits for the answer to a request.
#pragma once

#include "absl/status/status.h"
#include "server/request/inference_request.h"

namespace reprise::server {

// OK while the caller waits; Cancelled once it has gone; DeadlineExceeded from `deadline` on.
inline absl::Status StillWanted(bool cancelled, SteadyClock::time_point deadline,
                                SteadyClock::time_point now) {
  if (cancelled) return absl::CancelledError("the caller cancelled the request");
  if (deadline <= now) {
    return absl::DeadlineExceededError("the deadline passed before the request could run");
  }
  return absl::OkStatus();
}

inline absl::Status StillWanted(const InferenceRequest& request, SteadyClock::time_point now) {
  return StillWanted(request.cancellation->cancelled(), request.deadline, now);
}

// The refusal that belongs to a status of StillWanted.
inline RefusalReason RefusalOf(const absl::Status& abandoned) {
  return absl::IsDeadlineExceeded(abandoned) ? RefusalReason::kDeadline : RefusalReason::kNone;
}

}  // namespace reprise::server
