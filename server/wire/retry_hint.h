// What a caller who got an error is told beside its code: whether trying again can help.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/request/inference_request.h"

namespace reprise::server::wire {

// How long to wait before trying again: what was predicted, or else a guess; nothing when trying
// again cannot help.
std::optional<std::chrono::milliseconds> RetryDelay(const absl::Status& status,
                                                    RefusalReason refusal);

// Why a server that stops takes nothing new, and where to go.
absl::Status Draining();

// The message, cut to 1 KiB between two characters: parts of it may be the caller's own words.
std::string ClipMessage(absl::string_view message);

}  // namespace reprise::server::wire
