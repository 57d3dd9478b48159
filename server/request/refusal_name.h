// What refusals are called wherever they are told: metrics, traces, logs.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "server/request/inference_request.h"

namespace reprise::server {

// In the order of RefusalReason, kNone first.
inline constexpr std::array<std::string_view, 11> kRefusalNames = {
    "",         "queue_requests", "queue_rows", "queue_tokens", "queue_bytes", "queue_score_bytes",
    "deadline", "quota",          "draining",   "too_large",    "invalid"};
static_assert(static_cast<std::size_t>(RefusalReason::kInvalid) + 1 == kRefusalNames.size());

inline std::string_view Name(RefusalReason reason) {
  return kRefusalNames[static_cast<std::size_t>(reason)];
}

}  // namespace reprise::server
