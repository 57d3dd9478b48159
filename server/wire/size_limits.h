// Whether a message is small enough to be taken or sent.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace reprise::server::wire {

// ResourceExhausted for a request of more than `max_receive_bytes`.
absl::Status CheckRequestBytes(std::int64_t bytes, std::int64_t max_receive_bytes);
// ResourceExhausted for a reply of more than `max_send_bytes`.
absl::Status CheckReplyBytes(std::int64_t bytes, std::int64_t max_send_bytes);

}  // namespace reprise::server::wire
